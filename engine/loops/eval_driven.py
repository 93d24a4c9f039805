"""An evaluation that a loop of the user's drives."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from engine.loops.driven import Driven, DrivenData, Leave
from engine.loops.eval_data import EvalData
from engine.loops.loop import EventEngine

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["DrivenEvaluation"]


class DrivenEvaluation(Driven, EventEngine):
    """What an evaluating engine does when it does not turn itself."""

    mode: str
    _done: int
    _data: EvalData | None

    @abstractmethod
    def _on_iteration_started(self) -> None:
        """A batch is there."""

    @abstractmethod
    def _count_batch(self) -> None:
        """A batch is done, and the evaluator has seen it."""

    @abstractmethod
    def _wait_for_ranks(self) -> None:
        """All batches of this rank are done; the others may have some left."""

    def _let(
        self, drive: Callable[[DrivenData], Any], data: Any, length: int | None
    ) -> None:
        """Let a loop of the user's drive this pass."""
        assert self._data is not None
        self.should_terminate = False
        self.driving = True
        try:
            # Before the loop computes metrics, which takes all ranks.
            feed = _Whole(self._data, self.run_state.iteration, self._wait_for_ranks)
            metrics = drive(DrivenData(feed, data, ends=lambda: self._ends(length)))
        except Leave:
            metrics = None
        finally:
            self.driving = False
        if isinstance(metrics, Mapping):
            self.state.metrics = dict(metrics)

    def _ends(self, length: int | None) -> bool:
        ends = bool(self.should_terminate) or (
            length is not None and self._done >= length
        )
        if ends:
            self._wait_for_ranks()
        return ends

    def _calls(self) -> Mapping[str, Callable[..., None]]:
        mode = self.mode
        return {
            f"before_{mode}": partial(self._run_handlers, "STARTED"),
            f"before_{mode}_epoch": partial(self._run_handlers, "EPOCH_STARTED"),
            f"before_{mode}_iter": self._begin_iteration,
            f"after_{mode}_iter": self._end_iteration,
            f"after_{mode}_epoch": self._end_epoch,
            f"after_{mode}": partial(self._run_handlers, "COMPLETED"),
        }

    def _begin_iteration(self, batch_idx: int = 0, data_batch: Any = None) -> None:
        del batch_idx
        if self.should_terminate:
            raise Leave
        self.state.batch, self.state.output = data_batch, None
        self.state.iteration = self._done + 1
        self._on_iteration_started()

    def _end_iteration(
        self, batch_idx: int = 0, data_batch: Any = None, outputs: Any = None
    ) -> None:
        del batch_idx
        if data_batch is not None:
            self.state.batch = data_batch
        self.state.output = outputs
        self._count_batch()

    def _end_epoch(self, metrics: Mapping[str, Any] | None = None) -> None:
        self._wait_for_ranks()
        if metrics is not None:
            self.state.metrics = dict(metrics)
        self._run_handlers("EPOCH_COMPLETED", self.state.metrics)


@frozen
class _Whole:
    """An evaluation's data from its start, for who iterates it himself."""

    data: EvalData
    number: int
    at_end: Callable[[], object]

    def __iter__(self) -> Iterator[Any]:
        yield from self.data.begin(self.number)[0]
        self.at_end()
