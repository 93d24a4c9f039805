"""Schedules that multiply by ``gamma``: at each step, every so many, at milestones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from engine.errors import ScheduleError
from engine.optim.scheduler.curve import exponential, multi_step, staircase
from engine.optim.scheduler.schedule import (
    END,
    _ParamScheduler,
    check_numbers,
    check_steps,
    to_iterations,
)
from engine.registry import PARAM_SCHEDULERS

if TYPE_CHECKING:
    from typing import Self

    from torch.optim import Optimizer

    from engine.optim.wrapper import OptimWrapper

__all__ = [
    "ExponentialParamScheduler",
    "MultiStepParamScheduler",
    "StepParamScheduler",
]


@PARAM_SCHEDULERS.register_module()
class ExponentialParamScheduler(_ParamScheduler):
    """Multiplies by ``gamma`` at each step after the first.

    Args:
        optimizer: Whose parameter groups are changed.
        param_name: Key in each parameter group.
        gamma: Factor at each step.
        begin: First step it acts on, at least 0.
        end: First step it no longer acts on.
        last_step: Steps taken, less 1; -1 for a fresh start.
        by_epoch: Whether a step is an epoch, else an iteration.
        verbose: Whether each value set is logged.

    Raises:
        ScheduleError: ``begin`` or ``end`` is out of range.
    """

    def __init__(
        self,
        optimizer: Optimizer | OptimWrapper,
        param_name: str,
        gamma: float,
        begin: int = 0,
        end: int = END,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        check_numbers(type(self).__name__, gamma=gamma)
        self.gamma = gamma
        super().__init__(
            optimizer, param_name, begin, end, last_step, by_epoch, verbose
        )

    def _get_value(self) -> list[float]:
        return [
            exponential(self.last_step, value, gamma=self.gamma)
            for value in self._current_values()
        ]


@PARAM_SCHEDULERS.register_module()
class StepParamScheduler(_ParamScheduler):
    """Multiplies by ``gamma`` every ``step_size`` steps.

    Args:
        optimizer: Whose parameter groups are changed.
        param_name: Key in each parameter group.
        step_size: Steps between two multiplications, at least 1.
        gamma: Factor each time.
        begin: First step it acts on, at least 0.
        end: First step it no longer acts on.
        last_step: Steps taken, less 1; -1 for a fresh start.
        by_epoch: Whether a step is an epoch, else an iteration.
        verbose: Whether each value set is logged.

    Raises:
        ScheduleError: An argument is not one of the above.
    """

    def __init__(
        self,
        optimizer: Optimizer | OptimWrapper,
        param_name: str,
        step_size: int,
        gamma: float = 0.1,
        begin: int = 0,
        end: int = END,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        if not isinstance(step_size, int) or step_size < 1:
            msg = (
                f"{type(self).__name__}: step_size is {step_size!r}, but it is a "
                "number of steps: an int of at least 1."
            )
            raise ScheduleError(msg)
        check_numbers(type(self).__name__, gamma=gamma)
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(
            optimizer, param_name, begin, end, last_step, by_epoch, verbose
        )

    @classmethod
    def build_iter_from_epoch(  # type: ignore[override] # no default fits step_size
        cls,
        *args: Any,
        step_size: int,
        begin: int = 0,
        end: int = END,
        by_epoch: bool = True,
        epoch_length: int | None = None,
        **kwargs: Any,
    ) -> Self:
        """As the base's, with ``step_size`` in epochs too."""
        return super().build_iter_from_epoch(
            *args,
            step_size=to_iterations(step_size, by_epoch, epoch_length),
            begin=begin,
            end=end,
            by_epoch=by_epoch,
            epoch_length=epoch_length,
            **kwargs,
        )

    def _get_value(self) -> list[float]:
        return [
            staircase(self.last_step, value, every=self.step_size, gamma=self.gamma)
            for value in self._current_values()
        ]


@PARAM_SCHEDULERS.register_module()
class MultiStepParamScheduler(_ParamScheduler):
    """Multiplies by ``gamma`` at each milestone.

    Args:
        optimizer: Whose parameter groups are changed.
        param_name: Key in each parameter group.
        milestones: Steps counted from ``begin``, ascending; one that is there twice
            counts twice.
        gamma: Factor at each milestone.
        last_step: Steps taken, less 1; -1 for a fresh start.
        begin: First step it acts on, at least 0.
        end: First step it no longer acts on.
        by_epoch: Whether a step is an epoch, else an iteration.
        verbose: Whether each value set is logged.

    Raises:
        ScheduleError: An argument is not one of the above.
    """

    def __init__(
        self,
        optimizer: Optimizer | OptimWrapper,
        param_name: str,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_step: int = -1,
        begin: int = 0,
        end: int = END,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        where = type(self).__name__
        check_numbers(where, gamma=gamma)
        if isinstance(milestones, str) or not isinstance(milestones, Iterable):
            msg = (
                f"{where}: milestones is {milestones!r}, but it is a list of steps, "
                "such as [8, 11]."
            )
            raise ScheduleError(msg)
        self.milestones = list(milestones)
        self.gamma = gamma
        for one in self.milestones:
            check_steps(where, milestone=one)
            if one < 0:
                msg = f"{where}: a milestone is {one!r}, but steps count from 0."
                raise ScheduleError(msg)
        if self.milestones != sorted(self.milestones):
            msg = (
                f"{where}: milestones are {self.milestones}, but they "
                f"must ascend. Write {sorted(self.milestones)}."
            )
            raise ScheduleError(msg)
        super().__init__(
            optimizer, param_name, begin, end, last_step, by_epoch, verbose
        )

    @classmethod
    def build_iter_from_epoch(  # type: ignore[override] # no default fits milestones
        cls,
        *args: Any,
        milestones: Iterable[int],
        begin: int = 0,
        end: int = END,
        by_epoch: bool = True,
        epoch_length: int | None = None,
        **kwargs: Any,
    ) -> Self:
        """As the base's, with ``milestones`` in epochs too."""
        return super().build_iter_from_epoch(
            *args,
            milestones=[to_iterations(m, by_epoch, epoch_length) for m in milestones],
            begin=begin,
            end=end,
            by_epoch=by_epoch,
            epoch_length=epoch_length,
            **kwargs,
        )

    def _get_value(self) -> list[float]:
        return [
            multi_step(
                self.last_step, value, milestones=self.milestones, gamma=self.gamma
            )
            for value in self._current_values()
        ]
