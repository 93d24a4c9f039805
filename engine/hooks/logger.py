"""Writes log lines and scalars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from engine.errors import ConfigError
from engine.events import Priority
from engine.hooks.hook import Hook
from engine.registry import HOOKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.state import RunContext
    from engine.typing import Batch

__all__ = ["LoggerHook"]


@HOOKS.register_module()
class LoggerHook(Hook):
    """Writes a log line, and scalars to the visualizer, every so many iterations.

    Args:
        interval: Iterations between two lines, at least 1.
        ignore_last: Leave out the remainder at the end of an epoch.
        interval_exp_name: Iterations between two reminders of the experiment's name.
        log_metric_by_epoch: Whether metrics' step is the epoch, or the iteration.

    Raises:
        ConfigError: An interval is no whole number of at least 1.
    """

    priority: ClassVar[Priority] = Priority.BELOW_NORMAL

    def __init__(
        self,
        interval: int = 10,
        ignore_last: bool = True,
        interval_exp_name: int = 1000,
        log_metric_by_epoch: bool = True,
    ) -> None:
        for name, value in (
            ("interval", interval),
            ("interval_exp_name", interval_exp_name),
        ):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                message = (
                    f"LoggerHook: {name}={value!r}: give a whole number of at least 1"
                )
                raise ConfigError(message)
        self.interval = interval
        self.ignore_last = ignore_last
        self.interval_exp_name = interval_exp_name
        self.log_metric_by_epoch = log_metric_by_epoch

    def before_train(self, runner: RunContext) -> None:
        """Let the visualizer's backends reach their services, before any work."""
        start = getattr(runner.visualizer, "start", None)  # the user's own may lack it
        if callable(start):
            start(runner.logger)

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a line when one is due."""
        done = batch_idx + 1
        if done % self.interval and (
            self.ignore_last or done != runner.clock.epoch_length
        ):
            return
        iteration = runner.iter + 1
        if iteration % self.interval_exp_name == 0:
            name = getattr(runner, "experiment_name", None)
            if name is not None:
                runner.logger.info("experiment", line=f"Exp name: {name}", name=name)
        tag, line = runner.log_processor.get_log_after_iter(runner, batch_idx, "train")
        runner.logger.info("train", line=line, **tag)
        runner.visualizer.add_scalars(tag, step=iteration)

    def after_val_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Write a line when one is due."""
        self._evaluation_line(runner, batch_idx, "val")

    def after_test_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Write a line when one is due."""
        self._evaluation_line(runner, batch_idx, "test")

    def _evaluation_line(self, runner: RunContext, batch_idx: int, mode: str) -> None:
        if (batch_idx + 1) % self.interval == 0:
            tag, line = runner.log_processor.get_log_after_iter(runner, batch_idx, mode)
            runner.logger.info(mode, line=line, **tag)

    def after_val_epoch(
        self, runner: RunContext, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Write the metrics."""
        tag, line = runner.log_processor.get_log_after_epoch(
            runner, runner.validator.length, "val"
        )
        by_epoch = self.log_metric_by_epoch and runner.state.limits.max_iters is None
        step = runner.epoch if by_epoch else runner.iter
        runner.logger.info("val_metrics", line=line, step=step, **tag)
        runner.visualizer.add_scalars(tag, step=step)

    def after_test_epoch(
        self, runner: RunContext, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Write the metrics."""
        tag, line = runner.log_processor.get_log_after_epoch(
            runner, runner.tester.length, "test"
        )
        runner.logger.info("test_metrics", line=line, **tag)
        runner.visualizer.add_scalars(tag, step=runner.iter)

    def after_run(self, runner: RunContext) -> None:
        """Let the visualizer's backends finish their files."""
        runner.visualizer.close()

    def on_exception(self, runner: RunContext, error: BaseException) -> None:
        """Let them finish their files, also when the run fails."""
        runner.visualizer.close()

    def on_interrupt(self, runner: RunContext, signal: int | None) -> None:
        """Let them finish their files: whoever goes on may be another process."""
        runner.visualizer.close()
