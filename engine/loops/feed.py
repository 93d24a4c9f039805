"""The training data as Ignite iterates it: from where the run is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import frozen

from engine.dataset import Cursor
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
        failed: Called when the data gives an error instead of a batch.
    """

    cursor: Cursor
    progress: Progress
    failed: Callable[[], object]

    def __iter__(self) -> Iterator[Any]:
        """The batches that are left of the running pass."""
        done = self.progress
        try:
            yield from self.cursor.read(done.data_pass, done.pass_batch)
        except GeneratorExit:
            raise
        except BaseException:
            self.failed()
            raise
        if done.pass_batch:  # a pass of unknown length: its end is found here
            done.finish_pass()
