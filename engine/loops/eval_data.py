"""The data of an evaluation, read from any of its batches on."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from attrs import evolve
from torch.utils.data import DataLoader, IterableDataset, MapDataPipe

from engine.dataset import LoaderCursor, data_length
from engine.state import (
    Exactness,
    PartReport,
    capture_randomness,
    restore_randomness,
)
from engine.typing import Stateful

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.dataset import SampleRandomness

__all__ = ["EvalData"]

_PLAIN = (list, tuple, range)
_PART = "validation data"


class EvalData:
    """Reads what is evaluated.

    A ``DataLoader`` over a map-style dataset is read by index, as training's is: what a
    batch holds follows from (seed, which evaluation, batch), for any number of workers,
    and what lies before a place is not fetched. Data with a memory, and what is not
    known, is iterated itself; to go on inside it, it is read again from its start, with
    the generators as they were then.

    Args:
        data: Iterable of batches.
        seed: Of evaluations of this kind in this run.
        randomness: As for ``open_cursor``.
    """

    def __init__(self, data: Any, seed: int, randomness: SampleRandomness) -> None:
        self.data = data
        self.seed = seed
        self._cursor: LoaderCursor | None = None
        if _is_read_by_index(data):
            self._cursor = LoaderCursor(
                data, seed=seed, randomness=randomness, consecutive=False
            )

    @property
    def shape(self) -> list[int]:
        """Batches there are, and samples in each; 0 for what is not known."""
        if self._cursor is not None:
            return [self._cursor.length, self._cursor.batch_size]
        return [data_length(self.data) or 0, 0]

    def begin(self, number: int) -> tuple[Iterator[Any], Any]:
        """Read from the start.

        Args:
            number: Which evaluation, such as the iterations done before it.

        Returns:
            The batches, and what :meth:`go_on` needs to know.
        """
        if self._cursor is not None:
            return self._cursor.read(number, 0), None
        began = None if type(self.data) in _PLAIN else capture_randomness()
        return iter(self.data), began

    def go_on(self, number: int, start: int, began: Any) -> Iterator[Any]:
        """Read from a batch on; the global generators are left anywhere.

        Args:
            number: As for :meth:`begin`.
            start: The batch.
            began: What :meth:`begin` returned.
        """
        if self._cursor is not None:
            return self._cursor.read(number, start)
        if began is not None:
            restore_randomness(began)
        batches: Iterator[Any] = iter(self.data)
        for _ in islice(batches, start):
            continue
        return batches

    def report(self) -> list[PartReport]:
        """How exactly :meth:`go_on` gives what would have been read."""
        if self._cursor is not None:
            return [
                evolve(one, part=one.part.replace("train data", _PART))
                for one in self._cursor.resume_report()
            ]
        kind = type(self.data).__name__
        if type(self.data) in _PLAIN:
            return [PartReport(_PART, Exactness.EXACT, f"a {kind} of batches")]
        why = (
            f"the {kind} is read again from its start and what was evaluated is "
            "skipped: the same only if it gives the same batches for the same global "
            "generators"
        )
        return [PartReport(_PART, Exactness.BEST_EFFORT, why)]

    def close(self) -> None:
        """Let workers that wait for another evaluation go."""
        if self._cursor is not None:
            self._cursor.close()


def _is_read_by_index(data: Any) -> bool:
    """Whether it is a loader over a map-style dataset, and nothing in it remembers."""
    plain = isinstance(data, DataLoader) and type(data).__iter__ is DataLoader.__iter__
    if not plain or isinstance(data.dataset, IterableDataset | MapDataPipe):
        return False
    if not data_length(data):  # unknown, or a rank's that has nothing to evaluate
        return False
    sampler = data.batch_sampler or data.sampler
    return not any(
        isinstance(one, Stateful)
        for one in (data.dataset, sampler, getattr(sampler, "sampler", None))
    )
