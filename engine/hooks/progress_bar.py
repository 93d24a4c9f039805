"""Shows on a terminal how far a run is."""

from __future__ import annotations

import math
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

from engine.errors import ConfigError
from engine.events import Priority
from engine.hooks.hook import Hook
from engine.hooks.logger import LoggerHook
from engine.hooks.progress_line import Pace, Work, progress_line, shown_values
from engine.logging import Foot
from engine.registry import HOOKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.text import Text

    from engine.state import RunContext
    from engine.typing import Batch

__all__ = ["ProgressBarHook"]

_ORDER = ("train", "val", "test")  # from top to bottom


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Shows on a terminal how far a run is; log lines pass above.

    A line for training, and one below it while a validation runs: batches done, rate,
    time left, and what :class:`LoggerHook` wrote last. Where ``sys.stderr`` is no
    terminal, or something else draws there already, and on ranks above 0, it shows
    nothing. A Runner on a terminal has one under the name ``progress``.

    Nothing is read from a device for it, and between two drawings it looks at the
    clock only.

    Args:
        interval_seconds: Least time between two drawings, above 0.
        share: Most of the time that drawing may take, above 0 and at most 1.

    Raises:
        ConfigError: An argument is out of range.
    """

    priority: ClassVar[Priority] = Priority.LOW
    transient: ClassVar[frozenset[str]] = frozenset(
        {"_due", "_foot", "_lines", "_logger", "_pace"}
    )

    def __init__(self, interval_seconds: float = 0.1, share: float = 0.02) -> None:
        for name, value, most in (
            ("interval_seconds", interval_seconds, math.inf),
            ("share", share, 1.0),
        ):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 < value <= most:
                bound = "" if most == math.inf else f" and at most {most:g}"
                message = (
                    f"ProgressBarHook: {name}={value!r}: give a number above 0{bound}"
                )
                raise ConfigError(message)
        self.interval_seconds = interval_seconds
        self.share = share
        self._due = -math.inf  # when to draw next; at once, before the first time
        self._foot: Foot | None = None
        self._logger: LoggerHook | None = None
        self._lines: dict[str, Text] = {}  # by mode
        self._pace: dict[str, Pace] = {}  # by mode

    # -- training ----------------------------------------------------------------

    def before_train(self, runner: RunContext) -> None:
        """Show where training begins: at the resumed iteration, say."""
        self._lines.clear()
        self._restart("train", runner.state.progress.iteration)
        self._draw_training(runner)

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Draw, if that is due."""
        if perf_counter() >= self._due:
            self._draw_training(runner)

    def _draw_training(self, runner: RunContext) -> None:
        if not self._open(runner):
            return
        state = runner.state
        done, limits = state.progress, state.limits
        pace = self._pace.setdefault("train", Pace())
        pace.note(perf_counter(), done.iteration)
        if limits.max_iters is None:
            total = limits.epoch_length or 0
            epoch, batch = done.epoch + 1, done.epoch_iteration
            if batch == 0 and done.epoch:  # at an epoch's edge: it is just done
                epoch, batch = done.epoch, total
            label = f"train {epoch}/{limits.max_epochs or 1}"
        else:
            label, total, batch = "train", limits.max_iters, done.iteration
        newest = {} if self._logger is None else self._logger.newest
        work = Work(
            label=label,
            done=batch,
            total=total,
            per_second=pace.per_second,
            eta_seconds=runner.message_hub.get_info("eta"),
            values=shown_values(newest.get("train", {}), newest.get("metrics", {})),
        )
        self._draw("train", work)

    # -- validation and test -----------------------------------------------------

    def before_val(self, runner: RunContext) -> None:
        """Show where training is, and the validation below."""
        self._begin(runner, "val")

    def before_test(self, runner: RunContext) -> None:
        """Show the test."""
        self._begin(runner, "test")

    def after_val_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw, if that is due."""
        if perf_counter() >= self._due:
            self._draw_evaluation(runner, "val", batch_idx + 1)

    def after_test_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw, if that is due."""
        if perf_counter() >= self._due:
            self._draw_evaluation(runner, "test", batch_idx + 1)

    def after_val(self, runner: RunContext) -> None:
        """Take the validation's line away."""
        self._lines.pop("val", None)
        if "train" in self._lines:  # it stood still meanwhile
            self._restart("train", runner.state.progress.iteration)
            self._draw_training(runner)

    def after_test(self, runner: RunContext) -> None:
        """Take the test's line away."""
        self._lines.pop("test", None)

    def _begin(self, runner: RunContext, mode: str) -> None:
        if "train" in self._lines:
            self._draw_training(runner)
        self._restart(mode, 0)
        self._draw_evaluation(runner, mode, 0)

    def _draw_evaluation(self, runner: RunContext, mode: str, done: int) -> None:
        if not self._open(runner):
            return
        pace = self._pace.setdefault(mode, Pace())
        pace.note(perf_counter(), done)
        engine = runner.validator if mode == "val" else runner.tester
        total, rate = engine.length, pace.per_second
        left = (total - done) / rate if total and rate else None
        work = Work(
            label=mode, done=done, total=total, per_second=rate, eta_seconds=left
        )
        self._draw(mode, work)

    # -- the terminal ------------------------------------------------------------

    def after_run(self, runner: RunContext) -> None:
        """Give the terminal back."""
        self._close()

    def on_exception(self, runner: RunContext, error: BaseException) -> None:
        """Give it back before the error is shown there."""
        self._close()

    def on_interrupt(self, runner: RunContext, signal: int | None) -> None:
        """Give it back: the run may go on, and draws again then."""
        self._close()

    def _open(self, runner: RunContext) -> bool:
        if self._foot is None and runner.rank == 0:
            self._foot = Foot()
            hooks = runner.hooks
            self._logger = next((h for h in hooks if isinstance(h, LoggerHook)), None)
        if self._foot is None or not self._foot.open():
            self._due = math.inf  # never; the next run looks again
            return False
        return True

    def _restart(self, mode: str, done: int) -> None:
        self._pace.setdefault(mode, Pace()).restart(perf_counter(), done)

    def _draw(self, mode: str, work: Work) -> None:
        foot = self._foot
        assert foot is not None
        begun = perf_counter()
        self._lines[mode] = progress_line(
            work, width=foot.width, is_ascii=foot.is_ascii
        )
        foot.show([self._lines[key] for key in _ORDER if key in self._lines])
        now = perf_counter()
        self._due = now + max(self.interval_seconds, (now - begun) / self.share)

    def _close(self) -> None:
        foot, self._foot = self._foot, None
        self._lines.clear()
        self._due = -math.inf
        if foot is not None:
            foot.close()
