"""Measures where the time of an iteration goes."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

from engine.events import Priority
from engine.hooks.hook import Hook
from engine.registry import HOOKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.state import HistoryBuffer, RunContext
    from engine.typing import Batch

__all__ = ["IterTimerHook"]


@HOOKS.register_module()
class IterTimerHook(Hook):
    """Measures where the time of an iteration goes.

    Scalars, in seconds: ``MODE/time`` from one iteration's end to the next's,
    ``MODE/data_time`` of that waiting for the batch. The fact ``eta``: seconds that
    training will still take, from this process's mean.
    """

    priority: ClassVar[Priority] = Priority.NORMAL
    transient: ClassVar[frozenset[str]] = frozenset(
        {"_last", "_began", "_first_iter", "_max_iters", "_data_time", "_time"}
    )

    def __init__(self) -> None:
        self._last = perf_counter()
        self._began = self._last
        self._first_iter = 0
        self._max_iters = 0
        # By mode, so that nothing is looked up per iteration.
        self._data_time: dict[str, HistoryBuffer] = {}
        self._time: dict[str, HistoryBuffer] = {}

    def before_train(self, runner: RunContext) -> None:
        """Begin to measure this process's mean."""
        self._first_iter = runner.iter
        self._before_epoch(runner)  # resumed inside an epoch, none begins
        self._began = self._last

    def _before_epoch(self, runner: RunContext, mode: str = "train") -> None:
        hub = runner.message_hub
        self._data_time[mode] = hub.scalar(f"{mode}/data_time")
        self._time[mode] = hub.scalar(f"{mode}/time")
        self._last = perf_counter()
        if mode == "train":  # data without a length has told it after one epoch
            self._max_iters = runner.max_iters

    def _before_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        mode: str = "train",
    ) -> None:
        self._data_time[mode].update(perf_counter() - self._last)

    def _after_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Mapping[str, Any] | Sequence[Any] | None = None,
        mode: str = "train",
    ) -> None:
        now = perf_counter()
        self._time[mode].update(now - self._last)
        self._last = now
        if mode == "train":
            state = runner.state
            done = state.progress.iteration
            mean = (now - self._began) / (done - self._first_iter)
            left = max(self._max_iters - done, 0)
            state.hub.update_info("eta", mean * left, resumed=False)
