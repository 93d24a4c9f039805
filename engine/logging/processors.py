"""What becomes of an event before it is written: pure functions of its keys.

An event passes through :func:`stamp` and is then rendered twice, by
:func:`console_text` for people and by :func:`json_text` for programs. No value that
a user logs can make either of them raise: a log line is no reason to lose a run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from json import JSONEncoder
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structlog.typing import EventDict

__all__ = ["console_text", "json_text", "plain", "stamp"]

LEVEL_COLOURS: Mapping[str, str] = {
    "debug": "\x1b[2m",
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[1;31m",
}
COLOUR_OFF = "\x1b[0m"
OURS = ("timestamp", "level")
"""Keys that :func:`stamp` sets."""
APART = frozenset({*OURS, "event", "line", "exception", "stack"})
"""Keys that the console shows in another form than ``key=value``."""
DEEPEST = 50
"""Containers inside each other that are still written as such."""


def stamp(_logger: object, method_name: str, event_dict: EventDict) -> EventDict:
    """Put the local time and the level in front of an event's keys.

    A key of the event that has one of these names gets an underscore behind it.

    Returns:
        A new mapping: ``timestamp`` (ISO 8601, milliseconds, with the offset from
        UTC), ``level`` (lower case), ``event``, then all else.

    >>> stamped = stamp(None, "info", {"lr": 0.1, "event": "step", "level": 3})
    >>> list(stamped), stamped["level"]
    (['timestamp', 'level', 'event', 'lr', 'level_'], 'info')
    """
    now = datetime.now(UTC).astimezone().isoformat(timespec="milliseconds")
    if "timestamp" in event_dict or "level" in event_dict:
        event_dict = {
            f"{key}_" if key in OURS else key: value
            for key, value in event_dict.items()
        }
    return {"timestamp": now, "level": method_name, "event": "", **event_dict}


def console_text(
    record: Mapping[str, Any],
    *,
    hidden: Mapping[str, Any],
    prefix: str = "",
    colours: bool = False,
) -> str:
    """Render a stamped event for people, without a newline at the end.

    Args:
        record: The stamped event. With the key ``line``, that text stands for the
            event and its keys.
        hidden: Keys that are not shown as long as they hold the very value given
            here (what is bound to the logger and the same on each line).
        prefix: Stands before the event.
        colours: Whether to colour the level.

    >>> record = {"timestamp": "2026-11-23T21:07:02.512+00:00", "level": "info"}
    >>> record |= {"event": "saved", "iteration": 40, "name": "a b", "run": "toy"}
    >>> console_text(record, hidden={"run": record["run"]})
    "2026-11-23 21:07:02 INFO  saved iteration=40 name='a b'"
    """
    time, level = record["timestamp"], record["level"]
    shown = f"{level.upper():<5}"
    if colours:
        shown = f"{LEVEL_COLOURS.get(level, '')}{shown}{COLOUR_OFF}"
    parts = [f"{time[:10]} {time[11:19]} {shown} {prefix}"]
    if "line" in record:
        parts.append(_text(record["line"]))
    else:
        parts.append(_text(record["event"]))
        for key, value in record.items():
            if key in APART or (key in hidden and hidden[key] is value):
                continue
            parts.append(f" {key}={_value_text(value)}")
    parts.extend(
        f"\n{_text(record[key])}" for key in ("stack", "exception") if key in record
    )
    return "".join(parts)


def json_text(record: Mapping[str, Any]) -> str:
    """Render a stamped event as one JSON object on one line, without a newline.

    The key ``line`` is left out. Text is written in ASCII with escapes, so that no
    reader sees a line break of another alphabet inside a line.

    >>> json_text({"event": "step", "loss": float("nan"), "line": "Epoch(train)"})
    '{"event": "step", "loss": "nan"}'
    """
    kept = dict(record)
    kept.pop("line", None)
    try:
        return _ENCODER.encode(kept)
    except Exception:
        return _ENCODER.encode(plain(kept))


def plain(value: object, _above: tuple[int, ...] = ()) -> Any:
    """Turn ``value`` into what strict JSON can say.

    Tensors and arrays with one element become their number, numbers that are not
    finite become text, paths too; whatever else is not JSON becomes its ``repr``.

    >>> plain({"loss": float("inf"), 3: (1, 2), "kind": int})
    {'loss': 'inf', '3': [1, 2], 'kind': "<class 'int'>"}
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    try:
        if isinstance(value, int):
            str(int(value))  # Python refuses beyond 4300 digits
            return int(value)
        if isinstance(value, (Mapping, list, tuple)):
            if id(value) in _above or len(_above) == DEEPEST:
                return _text(value)
            above = (*_above, id(value))
            if isinstance(value, Mapping):
                return {_text(key): plain(each, above) for key, each in value.items()}
            return [plain(each, above) for each in value]
    except Exception:
        return _repr(value)
    return _leaf(value)


def _leaf(value: object) -> Any:
    """What stands for a value that is no JSON: a number, a path's text, a ``repr``."""
    try:
        if isinstance(value, PurePath):
            return str(value)
        size = getattr(value, "numel", None) or getattr(value, "size", None)
        count = size() if callable(size) else size
        if count == 1:
            item = value.item()  # type: ignore[attr-defined] # has numel or size
            if isinstance(item, (bool, int)):
                return item
            if isinstance(item, float):
                return item if math.isfinite(item) else str(item)
    except Exception:
        return _repr(value)
    return _repr(value)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        return f"<unprintable {type(value).__name__}>"


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"<unprintable {type(value).__name__}>"


def _value_text(value: object) -> str:
    """A value as the console shows it: numbers short, text with blanks quoted."""
    if not isinstance(value, (str, int, float, list, tuple, dict)):
        value = value if value is None else _leaf(value)
        if isinstance(value, str):
            return value
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) and value.isprintable() and value and " " not in value:
        return value
    return _repr(value)


_ENCODER = JSONEncoder(allow_nan=False, default=_leaf)
