"""What a log processor's ``custom_cfg`` asks for: other statistics of scalars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from engine.errors import ConfigError, a_type, did_you_mean
from engine.state import HistoryBuffer

__all__ = ["Statistic", "read_custom_cfg"]

_TOTALS = ("mean", "min", "max")  # that a history knows of all values it ever had


@frozen(kw_only=True)
class Statistic:
    """One more column of log lines, or another way to come to one.

    Args:
        source: Name of the scalar, without the mode.
        method: A statistic of ``HistoryBuffer``.
        name: The column; ``source`` for the scalar's own.
        window: Values it covers: a number, those of the epoch, or all (``"global"``).
            ``None``: the method says it itself.
        options: Further arguments of the method.
    """

    source: str
    method: str
    name: str
    window: int | Literal["epoch", "global"] | None
    options: Mapping[str, Any]

    def of(
        self, history: HistoryBuffer, *, batch_idx: int, epoch_length: int, run: int
    ) -> Any:
        """Its value now.

        Args:
            history: The scalar's, which keeps as many values as this needs.
            batch_idx: Index of the batch in the epoch.
            epoch_length: Batches in an epoch; 0: nobody knows.
            run: Iterations of the whole run; 0: nobody knows.
        """
        arguments = dict(self.options)
        if self.window == "global":
            if self.method not in _TOTALS:
                history.reserve(max(run, 2 * len(history)))
                arguments["window_size"] = len(history)
        elif self.window == "epoch":
            history.reserve(max(epoch_length, 2 * (batch_idx + 1)))
            arguments["window_size"] = batch_idx + 1
        elif self.window is not None:
            history.reserve(self.window)
            arguments["window_size"] = self.window
        return history.statistics(self.method, **arguments)


def read_custom_cfg(custom_cfg: Any, *, by_epoch: bool) -> tuple[Statistic, ...]:
    """What ``custom_cfg`` says, checked.

    Args:
        custom_cfg: A list of mappings with ``data_src`` and ``method_name``; they may
            have ``log_name``, ``window_size`` and arguments of the method.
        by_epoch: Whether lines count epochs.

    Raises:
        ConfigError: One of them is no such mapping, two give the same column, or a
            window is none.
    """
    if custom_cfg is None:
        return ()
    if not isinstance(custom_cfg, Sequence) or isinstance(custom_cfg, str):
        message = f"LogProcessor: custom_cfg: expected a list, found {custom_cfg!r}"
        raise ConfigError(message)
    found = [
        _read(f"LogProcessor: custom_cfg[{index}]", one, by_epoch=by_epoch)
        for index, one in enumerate(custom_cfg)
    ]
    names = [one.name for one in found]
    for index, name in enumerate(names):
        if name in names[:index]:
            message = (
                f"LogProcessor: custom_cfg[{index}]: {name!r} is given by "
                f"custom_cfg[{names.index(name)}] already. Give it a log_name of its "
                "own."
            )
            raise ConfigError(message)
    return tuple(found)


def _read(where: str, given: Any, *, by_epoch: bool) -> Statistic:
    if not isinstance(given, Mapping):
        message = f"{where}: expected a mapping, found {a_type(given)}"
        raise ConfigError(message)
    options = dict(given)
    for key in ("data_src", "method_name"):
        if not isinstance(options.get(key), str):
            message = (
                f"{where}: {key} is missing, or no text; found the keys "
                f"{sorted(map(str, options))}"
            )
            raise ConfigError(message)
    source, method = options.pop("data_src"), options.pop("method_name")
    known_methods = HistoryBuffer.statistic_names()
    if method not in known_methods:
        message = (
            f"{where}: no statistic is called {method!r}; known are {known_methods}."
            f"{did_you_mean(method, known_methods)} One of your own is made known by "
            "@HistoryBuffer.register_statistics, before the LogProcessor is made."
        )
        raise ConfigError(message)
    window = options.pop("window_size", None)
    known = ["epoch", "global"] if by_epoch else ["global"]
    number = isinstance(window, int) and not isinstance(window, bool) and window > 0
    if window is not None and not number and window not in known:
        allowed = " or ".join(map(repr, known))
        message = (
            f"{where}: window_size={window!r}: give a whole number of at least 1, or "
            f"{allowed}"
        )
        raise ConfigError(message)
    if window is not None and method == "current":
        message = f"{where}: 'current' is the newest value and has no window_size"
        raise ConfigError(message)
    return Statistic(
        source=source,
        method=method,
        name=options.pop("log_name", source),
        window=window,
        options=options,
    )
