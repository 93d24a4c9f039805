"""Ends training when a metric stays on a plateau."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from engine.errors import ConfigError, MetricError, did_you_mean
from engine.events import Priority
from engine.hooks.agreed import agreed_metrics
from engine.hooks.best import GREATER, LESS, rule_by_name
from engine.hooks.hook import Hook
from engine.registry import HOOKS
from engine.state import Phase, RunContext, check_format

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.typing import Plain

__all__ = ["EarlyStoppingHook"]


@HOOKS.register_module()
class EarlyStoppingHook(Hook):
    """Ends training when a metric stays on a plateau.

    Training ends where ``runner.stop()`` takes effect: after the epoch, or the
    iteration in a run bounded by those. A resumed run goes on counting where it was.

    Args:
        monitor: The metric's name, as validation gives it.
        rule: ``"greater"`` or ``"less"`` is better; ``None``: by the metric's name
            (acc, top, AR@, auc, precision, mAP, mDice, mIoU, mAcc, aAcc; loss).
        min_delta: By how much a value must be better than the best so far to count; a
            value that is better by just that much does.
        strict: Whether a validation without the metric is an error; else a warning.
        check_finite: Whether training ends when the metric is nan or infinite. Without
            it nan counts as better than anything, and anything as better than nan.
        patience: Validations in a row that are no better before training ends.
        stopping_threshold: Training ends when the metric is better than this.

    Raises:
        ConfigError: ``rule`` is neither of the two and cannot be told from the name, or
            ``patience`` is no whole number of at least 0.
    """

    priority: ClassVar[Priority] = Priority.LOWEST

    def __init__(
        self,
        monitor: str,
        rule: str | None = None,
        min_delta: float = 0.1,
        strict: bool = False,
        check_finite: bool = True,
        patience: int = 5,
        stopping_threshold: float | None = None,
    ) -> None:
        if rule not in (None, "greater", "less"):
            message = (
                f"EarlyStoppingHook: rule={rule!r}: give 'greater' or 'less', or leave "
                "it out to go by the metric's name"
            )
            raise ConfigError(message)
        if not isinstance(patience, int) or isinstance(patience, bool) or patience < 0:
            message = (
                f"EarlyStoppingHook: patience={patience!r}: give a whole number of "
                "validations, at least 0"
            )
            raise ConfigError(message)
        self.monitor = monitor
        if rule is None:
            rule = rule_by_name(monitor, GREATER, LESS, asks="EarlyStoppingHook")
        self.rule = rule
        self.min_delta = min_delta
        self.strict = strict
        self.check_finite = check_finite
        self.patience = patience
        self.stopping_threshold = stopping_threshold
        self.wait_count = 0
        self.best_score = -math.inf if self.rule == "greater" else math.inf

    def after_val_epoch(
        self, runner: RunContext, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Look at the metric; ask training to end.

        Raises:
            MetricError: It is not there, and ``strict`` was asked for.
        """
        if runner.state.outer is not Phase.TRAINING:
            return  # a validation alone has nothing to end
        metrics = agreed_metrics(metrics)
        if self.monitor not in metrics:
            self._tell_missing(runner, metrics)
            return
        reason = self._judge(float(metrics[self.monitor]))
        if reason is not None:
            runner.logger.info(
                "early_stopping",
                line=f"Training ends early: {reason}",
                reason=reason,
                metric=self.monitor,
            )
            runner.stop(reason)

    def _judge(self, score: float) -> str | None:
        """Take a value in; why training is to end, if it is."""
        told = f"{self.monitor} is {score}"
        if self.check_finite and not math.isfinite(score):
            return f"{told}, and check_finite is on; the best was {self.best_score}"
        limit = self.stopping_threshold
        if limit is not None and self._is_beyond(score, limit):
            self.best_score = score
            return f"{told}, beyond stopping_threshold={limit}"
        # Not `>=` turned round: as MMEngine has it, nan counts as better.
        if self.rule == "greater":
            no_better = score < self.best_score + self.min_delta
        else:
            no_better = score > self.best_score - self.min_delta
        if not no_better:
            self.wait_count, self.best_score = 0, score
            return None
        self.wait_count += 1
        if self.wait_count < self.patience:
            return None
        return (
            f"{told}, and {self.wait_count} validations in a row were not better than "
            f"{self.best_score} by {self.min_delta}"
        )

    def _is_beyond(self, score: float, limit: float) -> bool:
        return score > limit if self.rule == "greater" else score < limit

    def _tell_missing(self, runner: RunContext, metrics: Mapping[str, Any]) -> None:
        names = sorted(metrics)
        message = (
            f"EarlyStoppingHook: the validation gave no {self.monitor!r}."
            f"{did_you_mean(self.monitor, names)} It gave {names}."
        )
        if self.strict:
            raise MetricError(message)
        runner.logger.warning(
            "metric_missing", line=message, metric=self.monitor, given=names
        )

    # -- memory -------------------------------------------------------------------

    def state_dict(self) -> dict[str, Plain]:
        """The best value so far, and for how long there was no better one."""
        return {
            "format": 1,
            "monitor": self.monitor,
            "wait_count": self.wait_count,
            "best_score": self.best_score,
        }

    def load_state_dict(self, state_dict: Mapping[str, Plain], /) -> None:
        """Take over what was saved; of another metric nothing is.

        Raises:
            SerializationError: The format or the keys are not ours.
        """
        check_format("EarlyStoppingHook", state_dict, self.state_dict())
        if state_dict["monitor"] == self.monitor:
            self.wait_count = int(state_dict["wait_count"])
            self.best_score = float(state_dict["best_score"])
