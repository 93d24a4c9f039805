"""torch's own learning rate schedulers, by name, stepped as ours are."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.swa_utils import SWALR

import engine.optim.scheduler.names  # noqa: F401  # ours take their names before torch's
from engine.errors import ScheduleError, did_you_mean
from engine.registry import PARAM_SCHEDULERS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TorchSchedule", "register_torch_schedulers"]


class TorchSchedule:
    """One of torch's schedulers, with what ``ParamSchedulerHook`` asks of a schedule.

    Args:
        schedule: A scheduler of :mod:`torch.optim.lr_scheduler`.
        by_epoch: Whether it steps after each epoch, else after each iteration.
        monitor: Key of the metric that a ``ReduceLROnPlateau`` waits for.

    Raises:
        ScheduleError: ``monitor`` is missing, or given for another scheduler.
    """

    def __init__(
        self,
        schedule: LRScheduler,
        *,
        by_epoch: bool = True,
        monitor: str | None = None,
    ) -> None:
        self.need_val_args = isinstance(schedule, ReduceLROnPlateau)
        if self.need_val_args != (monitor is not None):
            needs = "needs" if self.need_val_args else "takes no"
            msg = (
                f"{type(schedule).__name__} {needs} monitor, the name of a validation "
                "metric: it belongs to ReduceLROnPlateau."
            )
            raise ScheduleError(msg)
        self.schedule = schedule
        self.by_epoch = by_epoch
        self.monitor = monitor
        self._steps_left: int | None = None

    def hold(self, steps: int) -> None:
        """Keep the value that so many more steps lead to; a plateau's from then on."""
        left = steps if self._steps_left is None else min(steps, self._steps_left)
        self._steps_left = left

    @property
    def steps_left(self) -> int | None:
        """Steps until the value is held; ``None`` if it never is."""
        return self._steps_left

    def step(self, metrics: Mapping[str, Any] | None = None) -> None:
        """Go on by one epoch or iteration, or look at a validation's metrics.

        Args:
            metrics: Of a validation; ``None``: an epoch or iteration is over.

        Raises:
            ScheduleError: The monitored metric is not among them.
        """
        if metrics is None:
            if self._steps_left != 0 and not self.need_val_args:
                self.schedule.step()
            if self._steps_left:
                self._steps_left -= 1
            return
        if self.monitor is None or self.monitor not in metrics:
            msg = (
                f"ReduceLROnPlateau: monitor is {self.monitor!r}, but the validation "
                f"gave {sorted(metrics)}.{did_you_mean(str(self.monitor), metrics)}"
            )
            raise ScheduleError(msg)
        if self._steps_left != 0:
            self.schedule.step(metrics[self.monitor])

    def get_last_value(self) -> list[float]:
        """Each group's learning rate as the last step left it."""
        return [float(one) for one in self.schedule.get_last_lr()]

    def state_dict(self) -> dict[str, Any]:
        """The scheduler's own, and how far it is held if it is."""
        state = self.schedule.state_dict()
        if self._steps_left is not None:
            state = {**state, "engine_steps_left": self._steps_left}
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put back what :meth:`state_dict` gave."""
        state = dict(state_dict)
        self._steps_left = state.pop("engine_steps_left", None)
        self.schedule.load_state_dict(state)
        # The optimizer has stepped, in an earlier process: else torch warns of a run
        # that goes on with the end of an epoch.
        self.schedule.optimizer._opt_called = True  # type: ignore[attr-defined]  # noqa: SLF001


def register_torch_schedulers() -> list[str]:
    """Register each scheduler of torch in ``PARAM_SCHEDULERS`` under its name.

    A name that one of ours has (``LinearLR``) stays with ours; torch's is then found
    by its path, as ``torch.optim.lr_scheduler.LinearLR``.

    Returns:
        The names that were added, sorted; empty the second time.
    """
    classes = {
        name: value
        for name, value in {**vars(lr_scheduler), "SWALR": SWALR}.items()
        if inspect.isclass(value)
        and issubclass(value, LRScheduler)
        and value is not LRScheduler
        and not name.startswith("_")
    }
    added = sorted(classes.keys() - PARAM_SCHEDULERS.module_dict.keys())
    for name in added:
        PARAM_SCHEDULERS.register_module(name=name, module=classes[name])
    return added


register_torch_schedulers()
