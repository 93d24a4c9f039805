"""A schedule that waits for a metric to stop improving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import ScheduleError, a_type, did_you_mean
from engine.optim.scheduler.schedule import (
    END,
    _ParamScheduler,
    check_numbers,
    check_optimizer,
)
from engine.registry import PARAM_SCHEDULERS

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from engine.optim.wrapper import OptimWrapper

__all__ = ["ReduceOnPlateauParamScheduler", "improves"]


def improves(
    value: float,
    best: float,
    *,
    rule: Literal["less", "greater"],
    threshold: float,
    threshold_rule: Literal["rel", "abs"],
) -> bool:
    """Whether a metric beats its best value by more than a threshold.

    The test of :class:`torch.optim.lr_scheduler.ReduceLROnPlateau`. NaN beats nothing.

    Args:
        value: The metric now.
        best: Its best value so far.
        rule: Which way is better.
        threshold: By how much, at least 0.
        threshold_rule: A share of ``best`` (``"rel"``), or in the metric's unit.

    >>> rule = {"rule": "less", "threshold": 0.1}
    >>> improves(0.95, 1.0, threshold_rule="rel", **rule)
    False
    >>> improves(0.85, 1.0, threshold_rule="abs", **rule)
    True
    """
    margin = best * threshold if threshold_rule == "rel" else threshold
    # A share of an infinite best is no number: the first value beats it.
    if best in (inf, -inf):
        margin = 0.0
    return value < best - margin if rule == "less" else value > best + margin


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauParamScheduler(_ParamScheduler):
    """Multiplies by ``factor`` where a validation metric no longer improves.

    ``step()`` counts one epoch or iteration; ``step(metrics)`` looks at a validation's
    metrics. ``ParamSchedulerHook`` calls both.

    Args:
        optimizer: Whose parameter groups are changed.
        param_name: Key in each parameter group.
        monitor: Key of the metric.
        rule: Whether ``"less"`` or ``"greater"`` is better.
        factor: Below 1.
        patience: Validations without improvement that are forgiven, at least 0.
        threshold: What counts as improvement, at least 0.
        threshold_rule: Whether ``threshold`` is a share of the best value (``"rel"``)
            or in the metric's unit (``"abs"``).
        cooldown: Validations after a reduction that are not counted, at least 0.
        min_value: The lowest value, in the parameter's unit; one for all groups, or one
            for each.
        eps: A reduction by no more than this is not made, same unit.
        begin: First epoch or iteration after which validations count, at least 0.
        end: First one after which they no longer count.
        last_step: Validations counted, less 1; -1 for a fresh start.
        by_epoch: Whether ``begin`` and ``end`` are epochs, else iterations.
        verbose: Whether each value set is logged.

    Raises:
        ScheduleError: An argument is not one of the above.
    """

    need_val_args = True
    """Whether :meth:`step` wants the metrics of each validation."""

    def __init__(
        self,
        optimizer: Optimizer | OptimWrapper,
        param_name: str,
        monitor: str = "loss",
        rule: Literal["less", "greater"] = "less",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_rule: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_value: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
        begin: int = 0,
        end: int = END,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        where = type(self).__name__
        check_optimizer(where, optimizer)
        for name, found, allowed in (
            ("rule", rule, ("less", "greater")),
            ("threshold_rule", threshold_rule, ("rel", "abs")),
        ):
            if found not in allowed:
                hint = did_you_mean(str(found), allowed)
                msg = f"{where}: {name} is {found!r}, allowed: {allowed}.{hint}"
                raise ScheduleError(msg)
        check_numbers(
            where,
            factor=factor,
            patience=patience,
            threshold=threshold,
            cooldown=cooldown,
            eps=eps,
        )
        if not factor < 1:
            msg = (
                f"{where}: factor is {factor!r}, but it is below 1: a plateau reduces "
                "the value."
            )
            raise ScheduleError(msg)
        for name, number in (
            ("patience", patience),
            ("threshold", threshold),
            ("cooldown", cooldown),
        ):
            if not number >= 0:
                msg = f"{where}: {name} is {number!r}, but it is at least 0."
                raise ScheduleError(msg)
        self.monitor = monitor
        self.rule = rule
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_rule = threshold_rule
        self.cooldown = cooldown
        self.eps = eps
        self.best = inf if rule == "less" else -inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        groups = len(optimizer.param_groups)
        self.min_values: list[float] = (
            [min_value] * groups
            if isinstance(min_value, int | float)
            else list(min_value)
        )
        for one in self.min_values:
            check_numbers(where, min_value=one)
        if len(self.min_values) != groups:
            msg = (
                f"{where}: min_value has {len(self.min_values)} values for {groups} "
                "parameter groups. Give one number, or one for each group."
            )
            raise ScheduleError(msg)
        super().__init__(
            optimizer, param_name, begin, end, last_step, by_epoch, verbose
        )

    def step(self, metrics: Mapping[str, Any] | None = None) -> None:
        """Count one epoch or iteration, or look at a validation's metrics.

        Args:
            metrics: Of a validation; ``None`` counts.

        Raises:
            ScheduleError: The metric is not among them, or is no number.
        """
        self._check_groups()
        if metrics is None:
            self._global_step += 1
        elif self.begin <= self._global_step < self.end:
            self.last_step += 1
            self._judge(self._read(metrics))
        self._last_value = self._current_values()

    def _get_value(self) -> list[float]:
        values = []
        for low, value in zip(self.min_values, self._current_values(), strict=True):
            less = max(value * self.factor, low)
            values.append(less if value - less > self.eps else value)
        return values

    def _judge(self, value: float) -> None:
        """Count good and bad validations; reduce when patience is over."""
        if improves(
            value,
            self.best,
            rule=self.rule,
            threshold=self.threshold,
            threshold_rule=self.threshold_rule,
        ):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._apply(self._get_value())
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def _read(self, metrics: Mapping[str, Any]) -> float:
        where = type(self).__name__
        if not isinstance(metrics, Mapping):
            msg = (
                f"{where}: step() got {a_type(metrics)}, but it takes the "
                "dict of a validation's metrics, or nothing."
            )
            raise ScheduleError(msg)
        if self.monitor not in metrics:
            hint = did_you_mean(self.monitor, metrics)
            msg = (
                f"{where}: monitor is {self.monitor!r}, but the validation gave "
                f"{sorted(metrics)}.{hint}"
            )
            raise ScheduleError(msg)
        try:
            return float(metrics[self.monitor])
        except (TypeError, ValueError) as error:
            msg = (
                f"{where}: the metric {self.monitor!r} is "
                f"{metrics[self.monitor]!r}, but only a number can be compared. "
                "Monitor another one."
            )
            raise ScheduleError(msg) from error
