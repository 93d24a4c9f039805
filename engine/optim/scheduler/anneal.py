"""Schedules along cosines: one way down, restarts, and one cycle up and down."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from engine.errors import ScheduleError
from engine.optim.scheduler.curve import cosine, cosine_restart, one_cycle
from engine.optim.scheduler.schedule import (
    END,
    _ParamScheduler,
    check_numbers,
    check_optimizer,
    steps_between,
    to_iterations,
)
from engine.registry import PARAM_SCHEDULERS

if TYPE_CHECKING:
    from typing import Self

    from torch.optim import Optimizer

    from engine.optim.wrapper import OptimWrapper

__all__ = [
    "CosineAnnealingParamScheduler",
    "CosineRestartParamScheduler",
    "OneCycleParamScheduler",
]


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingParamScheduler(_ParamScheduler):
    """Anneals from the initial value along half a cosine.

    Args:
        optimizer: Whose parameter groups are changed.
        param_name: Key in each parameter group.
        T_max: Steps from ``begin`` to the lowest value, above 0; past it the value
            swings back up. ``None``: ``end - begin``.
        eta_min: The lowest value, in the parameter's unit. 0 if this and
            ``eta_min_ratio`` are ``None``.
        begin: First step it acts on, at least 0.
        end: First step it no longer acts on.
        last_step: Steps taken, less 1; -1 for a fresh start.
        by_epoch: Whether a step is an epoch, else an iteration.
        verbose: Whether each value set is logged.
        eta_min_ratio: The lowest value as a share of each group's initial value,
            instead of ``eta_min``.

    Raises:
        ScheduleError: An argument is not one of the above.
    """

    def __init__(
        self,
        optimizer: Optimizer | OptimWrapper,
        param_name: str,
        T_max: int | None = None,
        eta_min: float | None = None,
        begin: int = 0,
        end: int = END,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
        eta_min_ratio: float | None = None,
    ) -> None:
        _check_low(type(self).__name__, eta_min, eta_min_ratio)
        if T_max is not None:
            check_numbers(type(self).__name__, T_max=T_max)
        if T_max is not None and not T_max > 0:
            msg = (
                f"{type(self).__name__}: T_max is {T_max!r}, but it is a number of "
                "steps above 0. Leave it out for end - begin."
            )
            raise ScheduleError(msg)
        steps = steps_between(type(self).__name__, begin, end)
        self.T_max = steps if T_max is None else T_max
        neither = eta_min is None and eta_min_ratio is None
        self.eta_min = 0.0 if neither else eta_min
        self.eta_min_ratio = eta_min_ratio
        super().__init__(
            optimizer, param_name, begin, end, last_step, by_epoch, verbose
        )

    @classmethod
    def build_iter_from_epoch(
        cls,
        *args: Any,
        T_max: int | None = None,
        begin: int = 0,
        end: int = END,
        by_epoch: bool = True,
        epoch_length: int | None = None,
        **kwargs: Any,
    ) -> Self:
        """As the base's, with ``T_max`` in epochs too."""
        if T_max is not None:
            T_max = to_iterations(T_max, by_epoch, epoch_length)
        return super().build_iter_from_epoch(
            *args,
            T_max=T_max,
            begin=begin,
            end=end,
            by_epoch=by_epoch,
            epoch_length=epoch_length,
            **kwargs,
        )

    def _get_value(self) -> list[float]:
        values = self._current_values()
        return [
            cosine(
                self.last_step, value, steps=self.T_max, start=base, end=self._low(base)
            )
            for value, base in zip(values, self.base_values, strict=True)
        ]

    def _low(self, base: float) -> float:
        return _low(base, self.eta_min, self.eta_min_ratio)


@PARAM_SCHEDULERS.register_module()
class CosineRestartParamScheduler(_ParamScheduler):
    """Anneals along a cosine in each period, and begins each one high again.

    Where a period begins, the value is set outright, from each group's initial one:
    what other schedules left is overwritten. After the last period the value stays.

    Args:
        optimizer: Whose parameter groups are changed.
        param_name: Key in each parameter group.
        periods: Steps of each period, at least 1 each.
        restart_weights: Share of the initial value that each period begins with, one
            for each of ``periods``.
        eta_min: The lowest value, in the parameter's unit.
        eta_min_ratio: The lowest value as a share of each group's initial value. Give
            this or ``eta_min``.
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
        periods: Sequence[int],
        restart_weights: Sequence[float] = (1,),
        eta_min: float | None = None,
        eta_min_ratio: float | None = None,
        begin: int = 0,
        end: int = END,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        where = type(self).__name__
        _check_low(where, eta_min, eta_min_ratio)
        if eta_min is None and eta_min_ratio is None:
            msg = (
                f"{where}: neither eta_min nor eta_min_ratio is given. Give one: the "
                "lowest value, or its share of the initial one."
            )
            raise ScheduleError(msg)
        self.periods = list(periods)
        self.restart_weights = list(restart_weights)
        for one in self.restart_weights:
            check_numbers(where, restart_weight=one)
        if not self.periods or not all(
            isinstance(one, int) and one > 0 for one in self.periods
        ):
            msg = (
                f"{where}: periods are {self.periods}, but they are numbers of steps: "
                "at least one int, each at least 1."
            )
            raise ScheduleError(msg)
        if len(self.periods) != len(self.restart_weights):
            msg = (
                f"{where}: {len(self.periods)} periods have "
                f"{len(self.restart_weights)} restart_weights. Give one for each."
            )
            raise ScheduleError(msg)
        self.eta_min = eta_min
        self.eta_min_ratio = eta_min_ratio
        self.cumulative_periods = list(accumulate(self.periods))
        super().__init__(
            optimizer, param_name, begin, end, last_step, by_epoch, verbose
        )

    @classmethod
    def build_iter_from_epoch(  # type: ignore[override] # no default fits periods
        cls,
        *args: Any,
        periods: Sequence[int],
        begin: int = 0,
        end: int = END,
        by_epoch: bool = True,
        epoch_length: int | None = None,
        **kwargs: Any,
    ) -> Self:
        """As the base's, with ``periods`` in epochs too."""
        return super().build_iter_from_epoch(
            *args,
            periods=[to_iterations(p, by_epoch, epoch_length) for p in periods],
            begin=begin,
            end=end,
            by_epoch=by_epoch,
            epoch_length=epoch_length,
            **kwargs,
        )

    def _get_value(self) -> list[float]:
        return [
            cosine_restart(
                self.last_step,
                value,
                periods=self.periods,
                weights=self.restart_weights,
                start=base,
                end=_low(base, self.eta_min, self.eta_min_ratio),
            )
            for value, base in zip(
                self._current_values(), self.base_values, strict=True
            )
        ]


@PARAM_SCHEDULERS.register_module()
class OneCycleParamScheduler(_ParamScheduler):
    """Rises to a highest value and falls far below the first one: the 1cycle policy.

    Smith & Topin, "Super-Convergence" (arXiv:1708.07120), with the phases of
    :class:`torch.optim.lr_scheduler.OneCycleLR`. It sets values outright: what other
    schedules left is overwritten, and so are the initial values.

    Args:
        optimizer: Whose parameter groups are changed.
        param_name: Key in each parameter group.
        eta_max: The highest value, in the parameter's unit; one for all groups, or one
            for each.
        total_steps: Steps of the cycle, at least 1; ``None``: ``end - begin``.
        pct_start: Share of the cycle that rises, in ``[0, 1]``.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        div_factor: The cycle begins at ``eta_max / div_factor``.
        final_div_factor: It ends at the first value divided by this.
        three_phase: Whether the fall is as long as the rise, with a third phase from
            the first value down to the lowest.
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
        eta_max: float | Sequence[float] = 0,
        total_steps: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        begin: int = 0,
        end: int = END,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        where = type(self).__name__
        check_optimizer(where, optimizer)
        highs = [eta_max] if isinstance(eta_max, int | float) else eta_max
        if isinstance(highs, str) or not isinstance(highs, Sequence):
            msg = f"{where}: eta_max is {eta_max!r}, but it is a number or a list."
            raise ScheduleError(msg)
        for one in highs:
            check_numbers(where, eta_max=one)
        check_numbers(
            where,
            pct_start=pct_start,
            div_factor=div_factor,
            final_div_factor=final_div_factor,
        )
        for name, divisor in (
            ("div_factor", div_factor),
            ("final_div_factor", final_div_factor),
        ):
            if not divisor > 0:
                msg = f"{where}: {name} is {divisor!r}, but it divides: above 0."
                raise ScheduleError(msg)
        self.eta_max = eta_max if isinstance(eta_max, int | float) else list(eta_max)
        steps = steps_between(where, begin, end)
        self.total_steps = steps if total_steps is None else total_steps
        self.pct_start = pct_start
        self.anneal_strategy = anneal_strategy
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        self.three_phase = three_phase
        if not isinstance(self.total_steps, int) or self.total_steps < 1:
            msg = (
                f"{where}: total_steps is {total_steps!r}, but it is a number of "
                "steps: an int of at least 1. Leave it out for end - begin."
            )
            raise ScheduleError(msg)
        if self.total_steps < steps != END:
            msg = (
                f"{where}: total_steps is {total_steps}, but it acts on "
                f"{steps} steps, from begin={begin} to end={end}. Leave "
                f"total_steps out, or set end={begin + self.total_steps}."
            )
            raise ScheduleError(msg)
        if not 0 <= pct_start <= 1:
            msg = f"{where}: pct_start is {pct_start!r}, but it is a share in [0, 1]."
            raise ScheduleError(msg)
        if anneal_strategy not in ("cos", "linear"):
            msg = (
                f"{where}: anneal_strategy is {anneal_strategy!r}, but it is 'cos' or "
                "'linear'."
            )
            raise ScheduleError(msg)
        groups = len(optimizer.param_groups)
        if isinstance(self.eta_max, list) and len(self.eta_max) != groups:
            msg = (
                f"{where}: eta_max has {len(self.eta_max)} values for {groups} "
                "parameter groups. Give one number, or one for each group."
            )
            raise ScheduleError(msg)
        super().__init__(
            optimizer, param_name, begin, end, last_step, by_epoch, verbose
        )

    @classmethod
    def build_iter_from_epoch(
        cls,
        *args: Any,
        begin: int = 0,
        end: int = END,
        total_steps: int | None = None,
        by_epoch: bool = True,
        epoch_length: int | None = None,
        **kwargs: Any,
    ) -> Self:
        """As the base's, with ``total_steps`` in epochs too."""
        if total_steps is not None:
            total_steps = to_iterations(total_steps, by_epoch, epoch_length)
        return super().build_iter_from_epoch(
            *args,
            total_steps=total_steps,
            begin=begin,
            end=end,
            by_epoch=by_epoch,
            epoch_length=epoch_length,
            **kwargs,
        )

    def _initial_values(self, *, resumed: bool) -> list[float]:
        count = len(super()._initial_values(resumed=resumed))
        highs = (
            self.eta_max if isinstance(self.eta_max, list) else [self.eta_max] * count
        )
        firsts = [high / self.div_factor for high in highs]
        for group, first in zip(self.optimizer.param_groups, firsts, strict=True):
            group[f"initial_{self.param_name}"] = first
        return firsts

    def _get_value(self) -> list[float]:
        if self.last_step > self.total_steps:
            msg = (
                f"{type(self).__name__}: step {self.last_step} is past the cycle's "
                f"{self.total_steps} steps. Set end, or a longer total_steps."
            )
            raise ScheduleError(msg)
        return [
            one_cycle(
                self.last_step,
                steps=self.total_steps,
                first=first,
                high=first * self.div_factor,
                low=first / self.final_div_factor,
                rise=self.pct_start,
                linear=self.anneal_strategy == "linear",
                three_phase=self.three_phase,
            )
            for first in self.base_values
        ]


def _check_low(where: str, eta_min: float | None, eta_min_ratio: float | None) -> None:
    for name, value in (("eta_min", eta_min), ("eta_min_ratio", eta_min_ratio)):
        if value is not None:
            check_numbers(where, **{name: value})
    if eta_min is not None and eta_min_ratio is not None:
        msg = (
            f"{where}: eta_min is {eta_min!r} and eta_min_ratio {eta_min_ratio!r}, but "
            "they say the same thing. Give one."
        )
        raise ScheduleError(msg)


def _low(base: float, eta_min: float | None, eta_min_ratio: float | None) -> float:
    return base * (eta_min_ratio or 0.0) if eta_min is None else eta_min
