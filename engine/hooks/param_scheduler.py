"""Steps the schedules of learning rates and momenta."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from engine.events import Priority
from engine.hooks.agreed import agreed_metrics
from engine.hooks.hook import Hook
from engine.registry import HOOKS
from engine.state import Phase

if TYPE_CHECKING:
    from engine.state import RunContext
    from engine.typing import Batch

__all__ = ["ParamSchedulerHook"]


@HOOKS.register_module()
class ParamSchedulerHook(Hook):
    """Steps the schedules: each after an epoch or after an iteration, as it says.

    Those that wait for a plateau get the metrics of each validation inside training.
    """

    priority: ClassVar[Priority] = Priority.LOW

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Step the schedules that go by iteration."""
        schedules = runner.param_schedulers
        if not schedules:
            return
        for schedule in _all(schedules):
            # torch's own schedulers have no by_epoch and go by epoch
            if not getattr(schedule, "by_epoch", True):
                schedule.step()

    def after_train_epoch(self, runner: RunContext) -> None:
        """Step the schedules that go by epoch."""
        for schedule in _all(runner.param_schedulers):
            if getattr(schedule, "by_epoch", True):
                schedule.step()

    def after_val_epoch(
        self, runner: RunContext, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Let schedules that wait for a plateau look at a validation of training."""
        if runner.state.outer is not Phase.TRAINING:
            return
        waiting = [
            one
            for one in _all(runner.param_schedulers)
            if getattr(one, "need_val_args", False)
        ]
        if not waiting:
            return
        metrics = agreed_metrics(metrics)
        if metrics:
            for schedule in waiting:
                schedule.step(metrics)


def _all(schedules: Any) -> Iterator[Any]:
    if isinstance(schedules, Mapping):
        for some in schedules.values():
            yield from some
    else:
        yield from schedules or ()
