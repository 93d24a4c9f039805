"""The training data as Ignite iterates it: from where the run is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from attrs import frozen

from engine.dataset import Cursor
from engine.loops.left_out import stretches
from engine.state import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Feed"]


@frozen
class Feed:
    """What Ignite iterates; each iteration begins at the run's place in the data.

    Args:
        cursor: Reads from any place.
        progress: Says where the run is.
        left_out: Batches that are not read, as pairs of a pass and a batch.
        length: Batches in a pass; 0 if that is not known.
        failed: Called when the data gives an error instead of a batch.
    """

    cursor: Cursor
    progress: Progress
    left_out: Sequence[Sequence[int]]
    length: int
    failed: Callable[[], object]

    def __iter__(self) -> Iterator[Any]:
        """The batches that are left of the running pass."""
        done = self.progress
        try:
            if self.left_out:
                yield from self._around(done.data_pass)
            else:
                yield from self.cursor.read(done.data_pass, done.pass_batch)
        except GeneratorExit:
            raise
        except BaseException:
            self.failed()
            raise
        if done.pass_batch:  # a pass of unknown length: its end is found here
            done.finish_pass()

    def _around(self, data_pass: int) -> Iterator[Any]:
        """The same, around the batches that are left out."""
        done = self.progress
        for start, stop in stretches(self.left_out, data_pass, done.pass_batch):
            if self.length and start >= self.length:
                return
            done.pass_batch = start  # what lies before it is passed over
            items = self.cursor.read(data_pass, start)
            yield from items if stop is None else islice(items, stop - start)
