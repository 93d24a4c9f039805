"""Writes log lines and scalars."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

from engine.errors import ConfigError
from engine.events import Priority
from engine.hooks.hook import Hook
from engine.hooks.log_files import LogKeeper
from engine.logging import close_logger
from engine.registry import HOOKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.state import RunContext
    from engine.typing import Batch

__all__ = ["LoggerHook"]

_TIMES = ("time", "data_time")
_OWN_KEYS = frozenset({"event", "line", "rank", "run", "time_spent"})  # of each line


@HOOKS.register_module()
class LoggerHook(Hook):
    """Writes a log line, and scalars to the visualizer, every so many iterations.

    Args:
        interval: Iterations between two lines, at least 1.
        ignore_last: Leave out the remainder at the end of an epoch.
        interval_exp_name: Iterations between two reminders of the experiment's name.
        out_dir: Where log files are copied when the run ends or is interrupted, a path
            or a URL that fsspec knows: into a folder named as the work dir, with the
            log folder in it. ``None``: nowhere.
        out_suffix: Ends of the names of files that are copied.
        keep_local: Whether they stay in the work dir once the run has ended well.
        log_metric_by_epoch: Whether metrics' step is the epoch, or the iteration.
        backend_args: For the file system of ``out_dir``, as fsspec takes them.

    Raises:
        ConfigError: An interval is no whole number of at least 1, or ``out_dir`` has no
            file system.
    """

    priority: ClassVar[Priority] = Priority.BELOW_NORMAL
    transient: ClassVar[frozenset[str]] = frozenset({"newest"})

    def __init__(
        self,
        interval: int = 10,
        ignore_last: bool = True,
        interval_exp_name: int = 1000,
        out_dir: str | os.PathLike[str] | None = None,
        out_suffix: Sequence[str] | str = (".json", ".jsonl", ".log", ".py", "yaml"),
        keep_local: bool = True,
        log_metric_by_epoch: bool = True,
        backend_args: Mapping[str, Any] | None = None,
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
        self.keep_local = keep_local
        suffixes = [out_suffix] if isinstance(out_suffix, str) else out_suffix
        self._keeper = (
            None
            if out_dir is None
            else LogKeeper(os.fspath(out_dir), suffixes, backend_args)
        )
        self.newest: dict[str, Mapping[str, Any]] = {}
        """Values of the newest ``train`` line and of the newest ``metrics``."""

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
        progress = runner.state.progress
        iteration = progress.iteration
        if iteration % self.interval_exp_name == 0:
            name = getattr(runner, "experiment_name", None)
            if name is not None:
                runner.logger.info("experiment", line=f"Exp name: {name}", name=name)
        tag, line = runner.log_processor.get_log_after_iter(runner, batch_idx, "train")
        self.newest["train"] = tag
        # For the report alone: a metrics file holds scalars of the run, not of today.
        spent = getattr(getattr(runner, "trainer", None), "spent", None)
        told = _keys(tag)
        if spent is not None:
            told = {"time_spent": spent.describe(progress), **told}
        runner.logger.info("train", line=line, **told)
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
            runner.logger.info(mode, line=line, **_keys(tag))

    def after_val_epoch(
        self, runner: RunContext, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Write the metrics."""
        tag, line = runner.log_processor.get_log_after_epoch(
            runner, runner.validator.length, "val"
        )
        by_epoch = self.log_metric_by_epoch and runner.state.limits.max_iters is None
        step = runner.epoch if by_epoch else runner.iter
        self.newest["metrics"] = {
            name: value for name, value in tag.items() if name not in _TIMES
        }
        place = {"step": step, "iter": runner.iter}
        runner.logger.info("val_metrics", line=line, **_keys(tag, place), **place)
        runner.visualizer.add_scalars(tag, step=step)

    def after_test_epoch(
        self, runner: RunContext, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Write the metrics."""
        tag, line = runner.log_processor.get_log_after_epoch(
            runner, runner.tester.length, "test"
        )
        runner.logger.info("test_metrics", line=line, **_keys(tag))
        runner.visualizer.add_scalars(tag, step=runner.iter)

    def after_run(self, runner: RunContext) -> None:
        """Let the visualizer's backends finish their files, and copy those."""
        runner.visualizer.close()
        self._copy(runner, move=not self.keep_local)

    def on_exception(self, runner: RunContext, error: BaseException) -> None:
        """Let them finish their files, also when the run fails."""
        runner.visualizer.close()
        self._copy(runner)

    def on_interrupt(self, runner: RunContext, signal: int | None) -> None:
        """Let them finish their files: whoever goes on may be another process."""
        runner.visualizer.close()
        self._copy(runner)

    def _copy(self, runner: RunContext, *, move: bool = False) -> None:
        if self._keeper is None or runner.rank:
            return
        if move:
            close_logger(runner.logger)  # what comes later begins a file of its own
        try:
            copies = self._keeper.copy(
                runner.log_dir, runner.work_dir.resolve().name, move=move
            )
        except OSError as error:  # no reason to lose the run: they are still here
            runner.logger.warning(
                "logs_not_copied",
                line=f"The log files could not be copied to {self._keeper.out_dir} and "
                f"are still in {runner.log_dir}: {error}",
                out_dir=self._keeper.out_dir,
                error=str(error),
            )
        else:
            runner.logger.info(
                "logs_copied",
                line=f"{len(copies)} log files are copied to {self._keeper.out_dir}",
                copies=copies,
            )


def _keys(tag: Mapping[str, Any], more: Iterable[str] = ()) -> Mapping[str, Any]:
    """Scalars as keys of a log line.

    One that is called as a key of the line itself gets an underscore behind it, as
    :func:`~engine.logging.processors.stamp` does.

    Args:
        tag: Scalars by name.
        more: Further keys of the line itself.
    """
    taken = _OWN_KEYS.union(more)
    if taken.isdisjoint(tag):
        return tag
    return {f"{name}_" if name in taken else name: one for name, one in tag.items()}
