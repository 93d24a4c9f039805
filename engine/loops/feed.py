"""The training data as Ignite iterates it: from where the run is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from engine.dataset import Cursor
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
    """

    cursor: Cursor
    progress: Progress

    def state(self) -> Plain:
        """What the data needs, beside the run's place, to be read on from there."""
        return self.cursor.state(self.progress.data_pass, self.progress.pass_batch)

    def __iter__(self) -> Iterator[Any]:
        """The batches that are left of the running pass."""
        done = self.progress
        yield from self.cursor.read(done.data_pass, done.pass_batch)
        if done.pass_batch:  # a pass of unknown length: its end is found here
            done.finish_pass()
