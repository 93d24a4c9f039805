"""Smooths scalars and formats log lines."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, did_you_mean
from engine.loops.custom_log import read_custom_cfg
from engine.registry import LOG_PROCESSORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.state import RunContext

__all__ = ["LogProcessor"]

_TIMES = ("time", "data_time")
_LONG = 80  # characters


@LOG_PROCESSORS.register_module()
class LogProcessor:
    """Smooths scalars over a window and formats log lines.

    Args:
        window_size: Iterations that a smoothed value covers, at least 1.
        by_epoch: Whether lines count epochs, or iterations.
        custom_cfg: Other statistics, a list of mappings: of the scalar ``data_src``
            the statistic ``method_name`` (``mean``, ``min``, ``max``, ``current``, or
            one that was registered with ``HistoryBuffer``) over ``window_size``
            values, those of the ``"epoch"``, or all (``"global"``). It has a column of
            its own called ``log_name``, or takes the place of the scalar's.
        num_digits: Digits after the point, at least 0.
        log_with_hierarchy: Whether scalars are named with their mode, ``train/loss``.
        mean_pattern: Regular expression; scalars whose name it matches are smoothed,
            others show their newest value.

    Raises:
        ConfigError: A number is out of range, or ``custom_cfg`` is wrong.
    """

    def __init__(
        self,
        window_size: int = 10,
        by_epoch: bool = True,
        custom_cfg: Sequence[Mapping[str, Any]] | None = None,
        num_digits: int = 4,
        log_with_hierarchy: bool = False,
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
        self.log_with_hierarchy = log_with_hierarchy
        self.mean_pattern = re.compile(mean_pattern)
        self.custom_cfg = read_custom_cfg(custom_cfg, by_epoch=by_epoch)
        self._smoothed = _Matches(self.mean_pattern)
        self._wondered: set[str] = set()

    def get_log_after_iter(
        self, runner: RunContext, batch_idx: int, mode: str
    ) -> tuple[dict[str, Any], str]:
        """Scalars and a line after a batch.

        In a validation or a test, other scalars than times are not of this pass yet,
        and the line leaves them out.

        Args:
            runner: The run.
            batch_idx: Index of the batch in the epoch.
            mode: ``train``, ``val`` or ``test``.

        Returns:
            Smoothed scalars by name, in training with ``iter`` and, in lines that count
            epochs, ``epoch``; and the line.
        """
        values = self._collect(runner, mode, self.window_size)
        if self.custom_cfg:
            self._add_custom(values, runner, mode, batch_idx)
        # Always in this order, whichever hook recorded first.
        times = {key: values.pop(key) for key in _TIMES if key in values}
        values = times | values
        head = self._head(runner, batch_idx + 1, mode)
        eta = self._eta(runner, batch_idx, mode, values)
        line = self._line(head, values if mode == "train" else times, eta)
        if self.log_with_hierarchy:
            values = self._tag(values, mode)
        if mode == "train":
            if self.by_epoch:
                values["epoch"] = runner.epoch + 1
            values["iter"] = runner.iter + 1
        return values, line

    def get_log_after_epoch(
        self,
        runner: RunContext,
        batch_idx: int,
        mode: str,
        with_non_scalar: bool = False,
    ) -> tuple[dict[str, Any], str]:
        """Scalars and a line after a validation or a test.

        Args:
            runner: The run.
            batch_idx: Batches it had.
            mode: ``val`` or ``test``.
            with_non_scalar: Whether metrics that are no numbers are among those that
                are returned; the line shows them anyway.

        Returns:
            Metrics and mean times by name; and the line.
        """
        values = self._collect(runner, mode, None)
        self._add_custom(values, runner, mode, max(batch_idx - 1, 0))
        others = self._no_scalars(runner, mode)
        window = max(batch_idx, 1)
        hub = runner.message_hub
        times = {}
        for key in _TIMES:  # metrics first
            if values.pop(key, None) is not None:
                times[key] = hub.get_scalar(f"{mode}/{key}").mean(window)
        head = self._head(runner, batch_idx, mode)
        tag = self._tag({**values, **others, **times}, mode)
        line = self._line(head, tag, None)
        if not with_non_scalar:
            tag = self._tag({**values, **times}, mode)
        return tag, line

    # -- values ------------------------------------------------------------------

    def _collect(
        self, runner: RunContext, mode: str, window: int | None
    ) -> dict[str, float]:
        """Scalars of a mode by name: smoothed over ``window``, or the newest."""
        hub = runner.message_hub
        hub.settle()
        prefix = f"{mode}/"
        cut, smoothed = len(prefix), self._smoothed
        values = {}
        for key, history in hub.log_scalars.items():
            if not key.startswith(prefix) or not len(history):
                continue
            name = key[cut:]
            if window is not None and smoothed[name]:
                values[name] = history.mean(window)
            else:
                values[name] = history.current()
        return values

    def _add_custom(
        self, values: dict[str, Any], runner: RunContext, mode: str, batch_idx: int
    ) -> None:
        """Put in what ``custom_cfg`` says of this mode's scalars."""
        scalars = runner.message_hub.log_scalars
        for one in self.custom_cfg:
            history = scalars.get(f"{mode}/{one.source}")
            if history is None or not len(history):
                self._wonder(one.source, mode, runner)
                continue
            try:
                values[one.name] = one.of(
                    history,
                    batch_idx=batch_idx,
                    epoch_length=self._length(runner, mode),
                    run=runner.max_iters if mode == "train" else 0,
                )
            except Exception as error:
                error.add_note(f"in LogProcessor: custom_cfg, for {one.name!r}")
                raise

    def _wonder(self, source: str, mode: str, runner: RunContext) -> None:
        """Warn once of a source that is not there, but is nearly written like one."""
        if mode != "train" or source in self._wondered:
            return
        self._wondered.add(source)
        prefix = f"{mode}/"
        scalars = runner.message_hub.log_scalars
        known = [key[len(prefix) :] for key in scalars if key.startswith(prefix)]
        near = did_you_mean(source, known)
        if near:
            runner.logger.warning(
                "no_such_scalar",
                line=f"LogProcessor: custom_cfg: nothing called {source!r} is logged "
                f"yet.{near}",
                source=source,
            )

    def _no_scalars(self, runner: RunContext, mode: str) -> dict[str, Any]:
        """Facts of a mode by name: metrics that are no numbers."""
        prefix = f"{mode}/"
        facts = runner.message_hub.runtime_info
        return {
            key[len(prefix) :]: value
            for key, value in facts.items()
            if key.startswith(prefix)
        }

    def _tag(self, values: dict[str, Any], mode: str) -> dict[str, Any]:
        if not self.log_with_hierarchy:
            return values
        return {f"{mode}/{name}": value for name, value in values.items()}

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

    @staticmethod
    def _length(runner: RunContext, mode: str) -> int:
        """Batches in an epoch of a mode; 0 if nobody knows."""
        if mode == "train":
            return runner.clock.epoch_length or 0
        engine = runner.validator if mode == "val" else runner.tester
        return int(engine.length)

    def _head(self, runner: RunContext, done: int, mode: str) -> str:
        total = self._length(runner, mode)
        if self.by_epoch:
            place = f"[{done:>{len(str(total))}}/{total}]"
            if mode == "test":
                return f"Epoch({mode}) {place}"
            epoch = runner.epoch + 1 if mode == "train" else runner.epoch
            return f"Epoch({mode}) [{epoch}]{place}"
        if mode == "train":
            done, total = runner.iter + 1, runner.max_iters
        return f"Iter({mode}) [{done:>{len(str(total))}}/{total}]"

    def _line(self, head: str, values: dict[str, Any], eta: float | None) -> str:
        digits = self.num_digits
        rates, others = [], []
        for name, value in values.items():
            if name.endswith("lr"):
                rates.append(f"{name}: {value:.{digits}e}")
            elif isinstance(value, float):
                others.append(f"{name}: {value:.{digits}f}")
            else:
                others.append(f"{name}: {_brief(value)}")
        parts = [head, " ".join(rates)] if rates else [head]
        if eta is not None:
            parts.append(f"eta: {timedelta(seconds=int(eta))}")
        return "  ".join(parts + others)


class _Matches(dict[str, bool]):
    """Whether a pattern matches a name; each name is tried once.

    Args:
        pattern: The pattern.
    """

    def __init__(self, pattern: re.Pattern[str]) -> None:
        super().__init__()
        self._pattern = pattern

    def __missing__(self, name: str) -> bool:
        self[name] = found = self._pattern.match(name) is not None
        return found


def _brief(value: Any) -> str:
    """A value in a line: its text, or its kind where that is long.

    >>> import torch
    >>> _brief(3), _brief(torch.eye(2))
    ('3', 'Tensor(2, 2)')
    """
    text = str(value)
    if len(text) <= _LONG and "\n" not in text:
        return text
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__}{'' if shape is None else tuple(shape)}"
