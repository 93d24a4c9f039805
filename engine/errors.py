"""Every error that the engine raises on purpose.

The tree; each leaf also derives from the built-in a caller would catch::

    EngineError
    ├── ConfigError (ValueError)       a run that cannot be built from what was given
    │   └── ConfigKeyError (KeyError)  no such key in a config; an AttributeError too
    ├── RegistryError
    │   ├── UnknownNameError (LookupError)   no class is registered under the name
    │   └── DuplicateNameError (ValueError)  the name is taken
    ├── StateError (RuntimeError)      a move that the state machine does not allow
    ├── SerializationError (ValueError)      saved data that does not fit its class
    ├── EventError (ValueError)        an event, filter or handler that cannot work
    ├── HookError (TypeError)          a hook that is none, or whose methods do not fit
    ├── PriorityError (ValueError)     a priority outside 0-100
    ├── ContextError (AttributeError)  a handler asks for what its run does not have
    ├── DataError (ValueError)         data that is empty, or ends early
    ├── ModelError (TypeError)         a model without the step that a loop needs
    ├── OptimizerError (ValueError)    settings of an optimizer wrapper
    ├── ScheduleError (ValueError)     settings of a schedule
    ├── MetricError (ValueError)       metrics that clash, are missing or fail
    ├── ReportError (ValueError)       a report of what is no run, or that needs more
    ├── NonFiniteError (ArithmeticError)     a loss or gradient that is nan or infinite
    ├── RankFailedError (RuntimeError)  another rank failed, and with it the run
    ├── RunInterrupted (RuntimeError)  no mistake: a signal or the clock ended the run
    └── CheckpointError (RuntimeError)
        ├── CheckpointNotFoundError (FileNotFoundError)
        ├── CheckpointDamagedError      empty, truncated, or not a checkpoint at all
        └── InexactResumeError          resume="exact", and a part cannot be restored so

Each takes one positional message, so errors survive pickling from loader workers.
A message says where, what was found, what is allowed, and what to do.
"""

from __future__ import annotations

import signal as signals
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = [
    "CheckpointDamagedError",
    "CheckpointError",
    "CheckpointNotFoundError",
    "ConfigError",
    "ConfigKeyError",
    "ContextError",
    "DataError",
    "DuplicateNameError",
    "EngineError",
    "EventError",
    "HookError",
    "InexactResumeError",
    "MetricError",
    "ModelError",
    "NonFiniteError",
    "OptimizerError",
    "PriorityError",
    "RankFailedError",
    "RegistryError",
    "ReportError",
    "RunInterrupted",
    "ScheduleError",
    "SerializationError",
    "StateError",
    "UnknownNameError",
    "a_type",
    "did_you_mean",
]


class EngineError(Exception):
    """Base of every error that the engine raises on purpose.

    Attributes:
        while_running: Whether it ended a run that was under way.
    """

    while_running: bool = False


class ConfigError(EngineError, ValueError):
    """A run cannot be built from what was given."""


class ConfigKeyError(ConfigError, KeyError, AttributeError):
    """A config has no such key.

    Both built-ins are needed: ``cfg["x"]`` stands in ``except KeyError`` and ``cfg.x``
    behind ``hasattr`` and ``getattr(cfg, "x", default)``.
    """

    __str__ = Exception.__str__  # KeyError's quotes the message


class RegistryError(EngineError):
    """A registry was asked for something it cannot do."""


class UnknownNameError(RegistryError, LookupError):
    """No class is registered under the name."""


class DuplicateNameError(RegistryError, ValueError):
    """The name is already taken in the registry."""


class StateError(EngineError, RuntimeError):
    """The state machine does not allow this; nothing was changed."""


class SerializationError(EngineError, ValueError):
    """Saved data does not fit the class that should hold it."""


class EventError(EngineError, ValueError):
    """An event, a filter or a handler's signature cannot work."""


class HookError(EngineError, TypeError):
    """An object is no hook, or one of its methods does not fit its event."""


class PriorityError(EngineError, ValueError):
    """A priority is neither a name, a member, nor an int from 0 to 100."""


class ContextError(EngineError, AttributeError):
    """A handler asks for something that its run does not have."""


class DataError(EngineError, ValueError):
    """Data is empty, ends early, or cannot be read from a position."""


class ModelError(EngineError, TypeError):
    """A model lacks the step that a loop needs."""


class OptimizerError(EngineError, ValueError):
    """An optimizer wrapper cannot work with these settings."""


class ScheduleError(EngineError, ValueError):
    """A schedule cannot work with these settings."""


class MetricError(EngineError, ValueError):
    """Metrics clash, are missing, or were given nothing."""


class ReportError(EngineError, ValueError):
    """A folder holds no run to report, or the report cannot be made or written."""


class NonFiniteError(EngineError, ArithmeticError):
    """A loss or a gradient is nan or infinite, and the run cannot go on with it."""


class RankFailedError(EngineError, RuntimeError):
    """Another rank failed, or is gone, and this one cannot go on without it.

    Attributes:
        ranks: Those that failed, as far as that is known.
        told: Whether they left word, and so tell the user themselves.
    """

    ranks: tuple[int, ...] = ()
    told: bool = False


_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h
_SIGNALLED = 128  # what a shell adds to a signal's number


class RunInterrupted(EngineError, RuntimeError):  # noqa: N818 - no mistake was made
    """A signal, or the end of its time, stopped a run, which can go on.

    Attributes:
        signal: The signal's number; ``None`` if the time was over.
        path: The checkpoint to go on from; ``None`` if there is none.
    """

    signal: int | None = None
    path: Path | str | None = None

    @property
    def exit_code(self) -> int:
        """What a program that ends with this exits with.

        Returns:
            128 and the signal's number, as a shell reports it; 75 if the time was over,
            which ``sysexits.h`` calls a failure for now, to be tried again.
        """
        return _TRY_AGAIN if self.signal is None else _SIGNALLED + self.signal

    @property
    def cause(self) -> str:
        """The signal's name, or what else stopped the run."""
        if self.signal is None:
            return "max_seconds"
        return signals.Signals(self.signal).name


class CheckpointError(EngineError, RuntimeError):
    """A checkpoint cannot be written or does not fit the run."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """There is no checkpoint at the path."""


class CheckpointDamagedError(CheckpointError):
    """A file is empty, truncated, or not a checkpoint at all."""


class InexactResumeError(CheckpointError):
    """A run is to be resumed exactly, and something in it cannot be."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that names the nearest known name, or nothing.

    Returns:
        ``" Did you mean 'x'?"`` with a leading blank, or ``""`` if nothing is near.

    >>> did_you_mean("CheckpointHok", ["CheckpointHook", "LoggerHook"])
    " Did you mean 'CheckpointHook'?"
    >>> did_you_mean("zzz", ["CheckpointHook"])
    ''
    """
    near = get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def a_type(value: object) -> str:
    """The name of a value's type with its article, for a message.

    >>> a_type(3), a_type("x")
    ('an int', 'a str')
    """
    name = type(value).__name__
    return f"an {name}" if name[0].lower() in "aeio" else f"a {name}"


def amount(count: int, one: str, many: str = "", spec: str = "") -> str:
    """So many of something, in words.

    Args:
        count: How many.
        one: What one is called.
        many: What several are called; default: as one, with an s.
        spec: How the number is written, as ``format`` takes it.

    >>> amount(1, "epoch"), amount(1500, "iteration"), amount(0, "batch", "batches")
    ('1 epoch', '1500 iterations', '0 batches')
    """
    return f"{count:{spec}} {one if count == 1 else many or f'{one}s'}"


def check_switch(where: str, value: object) -> None:
    """Raise unless a setting that is on or off is given as ``True`` or ``False``.

    Text such as ``"no"`` would count as on.

    Raises:
        ConfigError: It is something else.

    >>> check_switch("val_cfg: fp16", "no")
    Traceback (most recent call last):
    engine.errors.ConfigError: val_cfg: fp16='no': give True or False
    """
    if not isinstance(value, bool):
        message = f"{where}={value!r}: give True or False"
        raise ConfigError(message)
