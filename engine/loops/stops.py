"""What ends a run from outside: a signal, or the time that it was given.

A handler of a signal does next to nothing: it notes the number, asks for a halt, and
puts the signal's default back, so that a second one ends the process at once. The loop
heeds the request where it heeds all others, between two iterations or two batches of an
evaluation; an iteration costs no more than without.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, RunInterrupted
from engine.state import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.checkpoint import Location
    from engine.state import RunState

__all__ = ["HANDLED", "Halt", "Stops"]

HANDLED = (
    signal.SIGTERM,
    signal.SIGINT,
    *[getattr(signal, name) for name in ("SIGUSR1",) if hasattr(signal, name)],
)
"""The signals that end a run in good order."""

_DEFAULT = {signal.SIGINT: signal.default_int_handler}  # what python begins with


class Halt(BaseException):
    """An evaluation ends here, without metrics: leaves whatever turns it.

    No ``Exception``: a user's ``except Exception`` must not keep it.
    """


class Stops:
    """What ends one run from outside.

    Args:
        handle_signals: Whether SIGTERM, SIGINT and SIGUSR1 end it in good order.
        max_seconds: How long one call of train, val or test may take; ``None``: as long
            as it needs. Counted anew in each process.
        now: A clock that is never set back, in seconds.

    Raises:
        ConfigError: ``max_seconds`` is no number above 0.
    """

    def __init__(
        self,
        *,
        handle_signals: bool = True,
        max_seconds: float | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if not isinstance(handle_signals, bool):
            message = f"handle_signals={handle_signals!r}: give True or False"
            raise ConfigError(message)
        if max_seconds is not None and (
            isinstance(max_seconds, bool)
            or not isinstance(max_seconds, int | float)
            or not max_seconds > 0
        ):
            message = (
                f"max_seconds={max_seconds!r}: give a number of seconds above 0, or "
                "leave it out"
            )
            raise ConfigError(message)
        self.handle_signals = handle_signals
        self.max_seconds = max_seconds
        self.noted: int | None = None
        """The signal that came to this process during this call, if one did."""
        self.signal: int | None = None
        """The signal that this call ends for: with several ranks, of any of them."""
        self.together = False
        """Whether the run has several ranks, which end at the same place."""
        self.agreed = False
        """Whether the ranks have agreed to end."""
        self.path: Location | None = None
        """Where the state was saved because of a stop."""
        self.halted = False
        """Whether the run was halted before its end."""
        self.watched = False
        """Whether a call of train, val or test runs."""
        self.may_leave = False
        """Whether an evaluation that runs now may be left between two batches."""
        self._now = now
        self._deadline = math.inf
        self._ask: Callable[[], None] = _nothing
        self._process = os.getpid()

    @property
    def asked(self) -> bool:
        """Whether the run is to end as soon as it can."""
        if self.together:
            return self.agreed
        return self.signal is not None or self.time_is_over

    @property
    def leaves(self) -> bool:
        """Whether the evaluation that runs is to be left at once."""
        return self.may_leave and self.asked

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """While the body evaluates, it may be left between two batches."""
        before, self.may_leave = self.may_leave, True
        try:
            yield
        finally:
            self.may_leave = before

    @property
    def time_is_over(self) -> bool:
        """Whether the run took all the time that it was given."""
        return self._deadline != math.inf and self._now() >= self._deadline

    @contextmanager
    def watching(self, ask: Callable[[], None]) -> Iterator[None]:
        """While the body runs, note signals and the time.

        Handlers are set in the main thread only, the only one that python runs them in,
        and each is put back afterwards. A signal that the process ignores, as one that
        was started by ``nohup`` may do, stays ignored.

        Args:
            ask: Called when a signal comes, between any two instructions: it may set
                flags, and nothing else.
        """
        self.noted, self.signal, self.agreed = None, None, False
        self.path, self.halted = None, False
        self._ask, self._process = ask, os.getpid()
        self.watched = True
        if self.max_seconds is not None:
            self._deadline = self._now() + self.max_seconds
        before: dict[signal.Signals, Any] = {}
        try:
            if self._may_handle():
                for number in HANDLED:
                    handler = signal.getsignal(number)
                    # An evaluation inside a handler of another run leaves it to that.
                    ours = isinstance(getattr(handler, "__self__", None), Stops)
                    if handler is not signal.SIG_IGN and not ours:
                        before[number] = handler  # first: a signal may come right away
                        signal.signal(number, self._note)
            yield
        finally:
            for number, handler in before.items():
                # None is a handler that was not set from python: it cannot be put back.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            self._deadline = math.inf
            self._ask = _nothing
            self.watched = False

    def _may_handle(self) -> bool:
        in_main_thread = threading.current_thread() is threading.main_thread()
        return self.handle_signals and in_main_thread

    def _note(self, number: int, _: object) -> None:
        signal.signal(number, _DEFAULT.get(signal.Signals(number), signal.SIG_DFL))
        if os.getpid() != self._process:  # a child that a user's code has forked
            signal.raise_signal(number)
            return
        if self.noted is None:
            self.noted = number
        if self.together:  # who finds it there tells the other ranks
            return
        self.signal = self.noted
        self._ask()

    def check(self, state: RunState, done: str) -> None:
        """Raise if the run was stopped; called when all is put in order.

        Args:
            state: Where the run is.
            done: What was done, for the message.

        Raises:
            RunInterrupted: It was.
        """
        if self.signal is None and not self.halted:
            return
        error = RunInterrupted(self._describe(state, done))
        error.signal, error.path = self.signal, self.path
        raise error from None

    def _describe(self, state: RunState, done: str) -> str:
        cause = f"max_seconds={self.max_seconds} are over"
        if self.signal is not None:
            cause = signal.Signals(self.signal).name
        if not self.halted:
            return f"{cause} came when nothing was left to do: {done}."
        if self.path is None:
            return f"stopped ({cause}) {done}; there is no state to keep."
        hint = (
            "To go on, resume it: --resume on the command line, resume=True for a "
            "Runner, trainer.resume() in code."
        )
        if state.phase is not Phase.INTERRUPTED:
            hint = "Nothing is left to train."
        return f"stopped ({cause}) {done}; saved {self.path}. {hint}"


def _nothing() -> None:
    """What is asked of a run that is over."""
