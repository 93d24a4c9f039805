"""Schedules whose curve depends on where they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ScheduleError
from engine.optim.scheduler.curve import constant, linear, poly
from engine.optim.scheduler.schedule import (
    END,
    _ParamScheduler,
    check_numbers,
    steps_between,
)
from engine.registry import PARAM_SCHEDULERS

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from engine.optim.wrapper import OptimWrapper

__all__ = [
    "ConstantParamScheduler",
    "LinearParamScheduler",
    "PolyParamScheduler",
]


@PARAM_SCHEDULERS.register_module()
class ConstantParamScheduler(_ParamScheduler):
    """Multiplies by a factor, and takes it back at the last step.

    Args:
        optimizer: Whose parameter groups are changed.
        param_name: Key in each parameter group.
        factor: In ``(0, 1]``; taken back at the last step, ``end - 1``.
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
        factor: float = 1.0 / 3,
        begin: int = 0,
        end: int = END,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        check_numbers(type(self).__name__, factor=factor)
        if not 0 < factor <= 1:
            msg = (
                f"{type(self).__name__}: factor is {factor!r}, but it lies in (0, 1]: "
                "it is divided out again at the last step."
            )
            raise ScheduleError(msg)
        self.factor = factor
        self.total_iters = steps_between(type(self).__name__, begin, end) - 1
        super().__init__(
            optimizer, param_name, begin, end, last_step, by_epoch, verbose
        )

    def _get_value(self) -> list[float]:
        return [
            constant(self.last_step, value, steps=self.total_iters, factor=self.factor)
            for value in self._current_values()
        ]


@PARAM_SCHEDULERS.register_module()
class LinearParamScheduler(_ParamScheduler):
    """Multiplies by a factor that moves linearly, over the steps [begin, end).

    Args:
        optimizer: Whose parameter groups are changed.
        param_name: Key in each parameter group.
        start_factor: Factor at ``begin``, in ``(0, 1]``.
        end_factor: Factor at the last step, ``end - 1``, in ``[0, 1]``.
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
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        begin: int = 0,
        end: int = END,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        check_numbers(
            type(self).__name__, start_factor=start_factor, end_factor=end_factor
        )
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            msg = (
                f"{type(self).__name__}: start_factor is {start_factor!r} and "
                f"end_factor {end_factor!r}, but they lie in (0, 1] and [0, 1]: each "
                "value is a multiple of the one before, so 0 cannot be left again."
            )
            raise ScheduleError(msg)
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = steps_between(type(self).__name__, begin, end) - 1
        super().__init__(
            optimizer, param_name, begin, end, last_step, by_epoch, verbose
        )

    def _get_value(self) -> list[float]:
        return [
            linear(
                self.last_step,
                value,
                steps=self.total_iters,
                start_factor=self.start_factor,
                end_factor=self.end_factor,
            )
            for value in self._current_values()
        ]


@PARAM_SCHEDULERS.register_module()
class PolyParamScheduler(_ParamScheduler):
    """Decays to a lowest value along a power of the way that is left.

    Args:
        optimizer: Whose parameter groups are changed.
        param_name: Key in each parameter group.
        eta_min: The value at the last step, ``end - 1``, in the parameter's unit.
        power: Of the way that is left, above 0; 1 is a straight line.
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
        eta_min: float = 0,
        power: float = 1.0,
        begin: int = 0,
        end: int = END,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        check_numbers(type(self).__name__, power=power, eta_min=eta_min)
        if not power > 0:
            msg = (
                f"{type(self).__name__}: power is {power!r}, but it is above 0: with 0 "
                "the value would never move. Use 1.0 for a straight line."
            )
            raise ScheduleError(msg)
        self.eta_min = eta_min
        self.power = power
        self.total_iters = steps_between(type(self).__name__, begin, end) - 1
        super().__init__(
            optimizer, param_name, begin, end, last_step, by_epoch, verbose
        )

    def _get_value(self) -> list[float]:
        return [
            poly(
                self.last_step,
                value,
                steps=self.total_iters,
                end=self.eta_min,
                power=self.power,
            )
            for value in self._current_values()
        ]
