"""Loggers by name, for code that is handed none: a standard logger over a run's.

The engine itself passes loggers and looks none up.
"""

from __future__ import annotations

import logging
import logging.handlers
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.dist import get_rank
from engine.errors import ConfigError, a_type
from engine.logging.setup import build_logger
from engine.state import Instances, running_run

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

__all__ = ["MMLogger", "print_log"]

_FILE_HANDLERS: Mapping[str, Any] = {
    "FileHandler": logging.FileHandler,
    "RotatingFileHandler": logging.handlers.RotatingFileHandler,
    "TimedRotatingFileHandler": logging.handlers.TimedRotatingFileHandler,
    "WatchedFileHandler": logging.handlers.WatchedFileHandler,
}


class MMLogger(logging.Logger):
    """A standard logger whose records go through structlog, as a run's lines do.

    It is none of :func:`logging.getLogger`'s: what the process says of those leaves it
    alone. :meth:`get_instance` finds it by its name, and the running run's logger is
    :meth:`get_current_instance`.

    Args:
        name: Its own name.
        logger_name: The ``name`` of the standard logger.
        log_file: Gets one JSON object a line, or text with ``file_handler_cfg``.
        log_level: Lowest level that is logged, a name or a number.
        file_mode: ``"w"`` begins the file anew, ``"a"`` goes on in it.
        distributed: Whether ranks above 0 write files too, each its own.
        file_handler_cfg: Another handler for the file: ``type``, one of
            ``FileHandler``, ``RotatingFileHandler``, ``TimedRotatingFileHandler`` and
            ``WatchedFileHandler``, and its arguments.
        target: What records are handed on to; ``None``: a logger of its own.

    Raises:
        ConfigError: The level or the handler is unknown, or the file cannot be written.
    """

    def __init__(
        self,
        name: str,
        logger_name: str = "engine",
        log_file: str | os.PathLike[str] | None = None,
        log_level: int | str = "INFO",
        file_mode: str = "w",
        distributed: bool = False,
        file_handler_cfg: Mapping[str, Any] | None = None,
        *,
        target: Any = None,
    ) -> None:
        super().__init__(logger_name)
        self.instance_name = name
        rank = get_rank()
        path = None if log_file is None else Path(log_file)
        if path is not None and rank:
            path = path.with_name(f"{path.stem}_rank{rank}{path.suffix}")
            path = path if distributed else None
        if file_mode not in ("a", "w"):
            message = f"MMLogger: file_mode={file_mode!r}: give 'w' or 'a'"
            raise ConfigError(message)
        self._path = path
        json_path = path if file_handler_cfg is None else None
        if target is None:
            if json_path is not None and file_mode == "w":
                json_path.unlink(missing_ok=True)
            target = build_logger(name, level=log_level, json_path=json_path, rank=rank)
        self.addHandler(_Through(target))
        if path is not None and file_handler_cfg is not None:
            self.addHandler(_file_handler(path, file_mode, file_handler_cfg))
        self.setLevel(log_level.upper() if isinstance(log_level, str) else log_level)

    @property
    def log_file(self) -> Path | None:
        """The file that this process writes."""
        return self._path

    @classmethod
    def get_instance(cls, name: str, **kwargs: Any) -> MMLogger:
        """The logger of that name in this context; one that is not there is made.

        Args:
            name: Its own name.
            kwargs: Arguments for one that has to be made.
        """
        return _NAMED.get(name, lambda: cls(name, **kwargs))

    @classmethod
    def get_current_instance(cls) -> MMLogger:
        """A logger that writes through the running run's.

        While none runs: the one that :meth:`get_instance` made last in this context,
        else one called ``engine``, made now.
        """
        run = running_run()
        if run is not None:
            # Levels are the run's own business.
            return cls("current", log_level=logging.DEBUG, target=run.logger)
        return _NAMED.newest() or cls.get_instance("engine")

    @classmethod
    def check_instance_created(cls, name: str) -> bool:
        """Whether :meth:`get_instance` made one of that name in this context."""
        return name in _NAMED


def print_log(msg: Any, logger: Any = None, level: int = logging.INFO) -> None:
    """Print or log a message.

    Args:
        msg: What.
        logger: ``None`` prints it, ``"silent"`` drops it, ``"current"`` is the running
            run's logger, other text the name of an :class:`MMLogger`; or a logger,
            standard or a run's.
        level: The standard number of its level.

    Raises:
        ValueError: No logger of that name was made in this context.
        TypeError: It is no logger.
    """
    if logger is None:
        print(msg)  # noqa: T201 - what it is asked for
    elif logger == "current":
        MMLogger.get_current_instance().log(level, msg)
    elif isinstance(logger, logging.Logger):
        logger.log(level, msg)
    elif isinstance(logger, str):
        if logger == "silent":
            return
        if not MMLogger.check_instance_created(logger):
            message = (
                f"print_log: no logger is called {logger!r} in this context. Make it "
                "by MMLogger.get_instance(), or give 'current' or 'silent'."
            )
            raise ValueError(message)
        MMLogger.get_instance(logger).log(level, msg)
    elif callable(getattr(logger, _method(level), None)):
        _hand_on(logger, level, str(msg))
    else:
        message = (
            "print_log: expected a logger, the name of one, 'current', 'silent' or "
            f"None, found {a_type(logger)}"
        )
        raise TypeError(message)


class _Through(logging.Handler):
    """Hands records on to a run's logger.

    Args:
        target: That logger.
    """

    def __init__(self, target: Any) -> None:
        super().__init__()
        self.target = target

    def emit(self, record: logging.LogRecord) -> None:
        _hand_on(
            self.target, record.levelno, record.getMessage(), exc_info=record.exc_info
        )


def _hand_on(target: Any, level: int, text: str, **more: Any) -> None:
    kept = {key: value for key, value in more.items() if value}
    getattr(target, _method(level))("message", line=text, text=text, **kept)


def _method(level: int) -> str:
    """The method for a standard level.

    >>> [_method(level) for level in (5, 20, 25, 40, 60)]
    ['debug', 'info', 'info', 'error', 'critical']
    """
    names = ("debug", "info", "warning", "error", "critical")
    return names[min(max(level // 10, 1), 5) - 1]


def _file_handler(
    path: Path, file_mode: str, file_handler_cfg: Mapping[str, Any]
) -> logging.Handler:
    options = dict(file_handler_cfg)
    kind = options.pop("type", None)
    if kind not in _FILE_HANDLERS:
        message = (
            f"MMLogger: file_handler_cfg: type={kind!r}: give one of "
            f"{', '.join(_FILE_HANDLERS)}"
        )
        raise ConfigError(message)
    if kind in ("FileHandler", "WatchedFileHandler"):
        options.setdefault("mode", file_mode)
    path.parent.mkdir(parents=True, exist_ok=True)
    handler: logging.Handler = _FILE_HANDLERS[kind](path, **options)
    handler.setFormatter(
        logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s")
    )
    return handler


_NAMED: Instances[MMLogger] = Instances("loggers")
