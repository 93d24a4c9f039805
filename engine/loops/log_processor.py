"""Smooths scalars and formats log lines."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError
from engine.registry import LOG_PROCESSORS

if TYPE_CHECKING:
    from engine.state import RunContext

__all__ = ["LogProcessor"]

_TIMES = ("time", "data_time")


@LOG_PROCESSORS.register_module()
class LogProcessor:
    """Smooths scalars over a window and formats log lines.

    Args:
        window_size: Iterations that a smoothed value covers, at least 1.
        by_epoch: Whether lines count epochs, or iterations.
        num_digits: Digits after the point, at least 0.
        mean_pattern: Regular expression; scalars whose name it matches are smoothed,
            others show their newest value.

    Raises:
        ConfigError: A number is out of range.
    """

    def __init__(
        self,
        window_size: int = 10,
        by_epoch: bool = True,
        num_digits: int = 4,
        mean_pattern: str = r".*(loss|time|data_time|grad_norm).*",
    ) -> None:
        for name, value, low in (
            ("window_size", window_size, 1),
            ("num_digits", num_digits, 0),
        ):
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                message = (
                    f"LogProcessor: {name}={value!r}: give a whole number of at least "
                    f"{low}"
                )
                raise ConfigError(message)
        self.window_size = window_size
        self.by_epoch = by_epoch
        self.num_digits = num_digits
        self.mean_pattern = re.compile(mean_pattern)
        self._smoothed: dict[str, bool] = {}

    def get_log_after_iter(
        self, runner: RunContext, batch_idx: int, mode: str
    ) -> tuple[dict[str, Any], str]:
        """Scalars and a line after a batch.

        Args:
            runner: The run.
            batch_idx: Index of the batch in the epoch.
            mode: ``train``, ``val`` or ``test``.

        Returns:
            Smoothed scalars by name (without the mode), with ``epoch`` and ``iter`` in
            training; and the line.
        """
        window = min(self.window_size, batch_idx + 1)
        values = self._collect(runner, mode, window)
        # Always in this order, whichever hook recorded first.
        times = {key: values.pop(key) for key in _TIMES if key in values}
        values = times | values
        head = self._head(runner, batch_idx + 1, mode)
        eta = self._eta(runner, batch_idx, mode, values)
        line = self._line(head, values, eta)
        if mode == "train":
            values = {**values, "epoch": runner.epoch + 1, "iter": runner.iter + 1}
        return values, line

    def get_log_after_epoch(
        self, runner: RunContext, batch_idx: int, mode: str
    ) -> tuple[dict[str, Any], str]:
        """Scalars and a line after a validation or a test.

        Args:
            runner: The run.
            batch_idx: Batches it had.
            mode: ``val`` or ``test``.

        Returns:
            Metrics and mean times by name (without the mode); and the line.
        """
        values = self._collect(runner, mode, None)
        window = max(batch_idx, 1)
        hub = runner.message_hub
        for key in _TIMES:  # metrics first
            if values.pop(key, None) is not None:
                values[key] = hub.get_scalar(f"{mode}/{key}").mean(window)
        return values, self._line(self._head(runner, batch_idx, mode), values, None)

    # -- values ------------------------------------------------------------------

    def _collect(
        self, runner: RunContext, mode: str, window: int | None
    ) -> dict[str, float]:
        """Scalars of a mode by name: smoothed over ``window``, or the newest."""
        prefix = f"{mode}/"
        values = {}
        for key, history in runner.message_hub.log_scalars.items():
            if not key.startswith(prefix) or not len(history):
                continue
            name = key[len(prefix) :]
            if window is not None and self._is_smoothed(name):
                values[name] = history.mean(window)
            else:
                values[name] = history.current()
        return values

    def _is_smoothed(self, name: str) -> bool:
        known = self._smoothed.get(name)
        if known is None:
            known = self._smoothed[name] = self.mean_pattern.match(name) is not None
        return known

    def _eta(
        self, runner: RunContext, batch_idx: int, mode: str, values: dict[str, float]
    ) -> float | None:
        if mode == "train":
            eta: float | None = runner.message_hub.get_info("eta")
            return eta
        engine = runner.validator if mode == "val" else runner.tester
        if "time" not in values or not engine.length:
            return None
        left: float = values["time"] * (engine.length - batch_idx - 1)
        return left

    # -- text --------------------------------------------------------------------

    def _head(self, runner: RunContext, done: int, mode: str) -> str:
        if mode == "train":
            total = runner.clock.epoch_length or 0
        else:
            total = (runner.validator if mode == "val" else runner.tester).length
        if self.by_epoch:
            place = f"[{done:>{len(str(total))}}/{total}]"
            if mode == "test":
                return f"Epoch({mode}) {place}"
            epoch = runner.epoch + 1 if mode == "train" else runner.epoch
            return f"Epoch({mode}) [{epoch}]{place}"
        if mode == "train":
            done, total = runner.iter + 1, runner.max_iters
        return f"Iter({mode}) [{done:>{len(str(total))}}/{total}]"

    def _line(self, head: str, values: dict[str, float], eta: float | None) -> str:
        digits = self.num_digits
        rates, others = [head], []
        for name, value in values.items():
            if name == "lr" or name.endswith((".lr", "_lr")):
                rates.append(f"{name}: {value:.{digits}e}")
            else:
                others.append(f"{name}: {value:.{digits}f}")
        if eta is not None:
            rates.append(f"eta: {timedelta(seconds=int(eta))}")
        return "  ".join(rates + others)
