"""The training data as Ignite iterates it: from where the run is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from engine.dataset import Cursor
from engine.loops.left_out import left_out_of
from engine.state import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.typing import Plain

__all__ = ["Feed"]


@frozen
class Feed:
    """What Ignite iterates; each iteration begins at the run's place in the data.

    Args:
        cursor: Reads from any place.
        progress: Says where the run is.
        left_out: Batches that are not read, as pairs of a pass and a batch.
        failed: Called when the data gives an error instead of a batch.
    """

    cursor: Cursor
    progress: Progress
    left_out: Sequence[Sequence[int]]
    failed: Callable[[], object]

    def state(self) -> Plain:
        """What the data needs, beside the run's place, to be read on from there."""
        return self.cursor.state(self.progress.data_pass, self.progress.pass_batch)

    def __iter__(self) -> Iterator[Any]:
        """The batches that are left of the running pass."""
        done = self.progress
        try:
            items = self.cursor.read(done.data_pass, done.pass_batch)
            yield from self._around(items) if self.left_out else items
        except GeneratorExit:
            raise
        except BaseException:
            self.failed()
            raise
        if done.pass_batch:  # a pass of unknown length: its end is found here
            done.finish_pass()

    def _around(self, items: Iterator[Any]) -> Iterator[Any]:
        """The same without the batches that are left out.

        They are read and thrown away: data with a memory goes on as it would.
        """
        done = self.progress
        left_out = left_out_of(self.left_out, done.data_pass)
        for number, item in enumerate(items, done.pass_batch):
            if number not in left_out:
                done.pass_batch = number  # what lies before it is passed over
                yield item
