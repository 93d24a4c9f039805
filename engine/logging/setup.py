"""Loggers of runs: the one place that sets structlog up.

structlog's own configuration is one for the whole process, so it stays as it is: each
run gets a logger with its own chain, and two runs in a process share nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias, cast

import structlog
from structlog.processors import StackInfoRenderer, format_exc_info
from structlog.typing import FilteringBoundLogger

from engine.errors import ConfigError, did_you_mean
from engine.logging.processors import stamp
from engine.logging.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import EventDict

__all__ = ["RunLogger", "build_logger", "close_logger"]

RunLogger: TypeAlias = FilteringBoundLogger
"""A logger of one run: ``log.info("checkpoint_saved", iteration=40)``."""

_render_stack = StackInfoRenderer()

LEVELS: Mapping[str, int] = MappingProxyType(
    {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
)


def build_logger(
    name: str,
    *,
    level: str | int = "INFO",
    console: TextIO | None = None,
    json_path: Path | None = None,
    rank: int = 0,
    is_first: Callable[[str], bool] | None = None,
    **bound: Any,
) -> RunLogger:
    """Make the logger of one run.

    The console gets ``2026-11-23 21:07:02 INFO  event key=value ...``, or the text
    under the key ``line`` in place of event and keys; colours only on a terminal, and
    none if ``NO_COLOR`` is set. Ranks above 0 print only warnings and worse.

    Args:
        name: Name of the run; bound as ``run``.
        level: Lowest level that is logged: DEBUG, INFO, WARNING, ERROR or CRITICAL,
            in any case, or its number (10 to 50).
        console: Where people read. ``None``: what ``sys.stderr`` is at each line.
        json_path: Gets one JSON object a line, all levels logged. Opened for
            appending at the first line, its folders made then. ``None``: no file.
        rank: Of this process, 0 for the main one; bound as ``rank``.
        is_first: Whether no other rank has printed the same warning; ``None``: there
            are no others.
        **bound: More keys for each line of the file.

    Raises:
        ConfigError: ``level`` is unknown, or ``json_path`` cannot be written.
    """
    lowest = _level(level)
    if json_path is not None:
        json_path = Path(json_path)
        _check_writable(json_path)
    context = {**bound, "run": name, "rank": rank}
    sink = Sink(
        console=console,
        path=json_path,
        rank=rank,
        is_first=is_first,
        bound=context,
        may_colour="NO_COLOR" not in os.environ,
    )
    proxy = structlog.wrap_logger(
        sink,
        processors=[_to_sink],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        context_class=dict,
    )
    # bind() turns structlog's lazy stand-in, which looks at the process-wide
    # configuration, into a logger that has all it needs.
    return cast("RunLogger", proxy.bind(**context))


def close_logger(logger: RunLogger) -> None:
    """Close the file of a logger from :func:`build_logger`, or of one bound from it.

    Closing twice is allowed. A line that is logged later is still written.
    """
    # structlog has no public way from a bound logger to what it wraps.
    sink = getattr(logger, "_logger", None)
    if isinstance(sink, Sink):
        sink.close()


def _to_sink(
    logger: Any, method_name: str, event_dict: EventDict
) -> tuple[tuple[EventDict], dict[str, Any]]:
    """Hand the stamped event over as the one argument of the sink's method."""
    # One processor, that asks for the others only where there is work for them: the
    # line of an iteration costs training what it takes.
    if "stack_info" in event_dict:
        event_dict = _render_stack(logger, method_name, event_dict)
    if "exc_info" in event_dict:
        event_dict = format_exc_info(logger, method_name, event_dict)
    return (stamp(logger, method_name, event_dict),), {}


def _level(level: str | int) -> int:
    """The number of a level given by name or number."""
    found = LEVELS.get(level.upper()) if isinstance(level, str) else level
    if found is None or found not in LEVELS.values():
        near = did_you_mean(level.upper(), LEVELS) if isinstance(level, str) else ""
        allowed = ", ".join(f"{name} ({number})" for name, number in LEVELS.items())
        message = (
            f"log_level: no level is called {level!r}.{near} Allowed are {allowed}."
        )
        raise ConfigError(message)
    return found


def _check_writable(path: Path) -> None:
    """Raise unless a file could be appended to at ``path``; makes nothing."""
    reason = None
    if path.is_dir():
        reason = "it is a folder"
    elif path.exists():
        if not os.access(path, os.W_OK):
            reason = "this user may not write it"
    else:
        folder = path.parent
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            reason = f"{str(folder)!r} is a file, not a folder"
        elif not os.access(folder, os.W_OK | os.X_OK):
            reason = f"this user may not write to the folder {str(folder)!r}"
    if reason is not None:
        message = (
            f"the log file {str(path)!r} cannot be written: {reason}. "
            "Choose another folder for the run."
        )
        raise ConfigError(message)
