"""What ends a run from outside: signals, and the time that it has."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.loops import Stops

NUMBER = signal.SIGUSR1


def nothing() -> None:
    """What is asked of a run that does nothing."""


class OhNo(Exception):  # noqa: N818  # it is nothing else
    """What ends a run."""


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"max_seconds": 0}, "max_seconds=0: give a number of seconds above 0"),
        ({"max_seconds": -3.5}, "max_seconds=-3.5: give a number of seconds above 0"),
        ({"max_seconds": True}, "max_seconds=True"),
        ({"max_seconds": "3600"}, "max_seconds='3600'"),
        ({"max_seconds": float("nan")}, "max_seconds=nan"),
        ({"handle_signals": 1}, "handle_signals=1: give True or False"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], said: str) -> None:
    """Each is told."""
    with pytest.raises(ConfigError, match=said):
        Stops(**arguments)


def test_time_is_counted_in_each_call_anew() -> None:
    """From the call on, up to the second at which it is over."""
    clock = Clock()
    stops = Stops(max_seconds=10, now=clock)
    assert not stops.asked
    for _ in range(2):
        with stops.watching(nothing):
            clock.seconds += 9.5
            assert not stops.asked
            clock.seconds += 0.5
            assert stops.time_is_over
            assert stops.asked
        assert not stops.asked


def test_a_signal_is_noted_and_the_next_one_is_not() -> None:
    """It asks once; by then the signal does what it did without us."""
    calls: list[int] = []
    asked: list[int] = []
    before = signal.signal(NUMBER, lambda number, _: calls.append(number))
    try:
        stops = Stops()
        with stops.watching(lambda: asked.append(1)):
            assert stops.signal is None
            os.kill(os.getpid(), NUMBER)
            assert stops.signal == NUMBER
            assert asked == [1]
            assert signal.getsignal(NUMBER) is signal.SIG_DFL
        os.kill(os.getpid(), NUMBER)
        assert calls == [NUMBER]
    finally:
        signal.signal(NUMBER, before)


def test_handlers_are_put_back_after_an_error() -> None:
    """Whatever ends the run."""
    before = {number: signal.getsignal(number) for number in (NUMBER, signal.SIGTERM)}

    def run() -> None:
        with Stops().watching(nothing):
            assert signal.getsignal(NUMBER) is not before[NUMBER]
            raise OhNo

    with pytest.raises(OhNo):
        run()
    assert {number: signal.getsignal(number) for number in before} == before


def test_what_the_process_ignores_stays_ignored() -> None:
    """As ``nohup`` wants it."""
    before = signal.signal(NUMBER, signal.SIG_IGN)
    try:
        stops = Stops()
        with stops.watching(nothing):
            os.kill(os.getpid(), NUMBER)
            assert signal.getsignal(NUMBER) is signal.SIG_IGN
        assert stops.signal is None
    finally:
        signal.signal(NUMBER, before)


def test_they_can_be_turned_off() -> None:
    """No handler is set."""
    before = signal.getsignal(NUMBER)
    with Stops(handle_signals=False).watching(nothing):
        assert signal.getsignal(NUMBER) is before


def test_a_run_in_another_thread_leaves_them_alone() -> None:
    """Python runs handlers in the main thread only."""
    before = signal.getsignal(NUMBER)
    found: list[Any] = []

    def run() -> None:
        with Stops().watching(nothing):
            found.append(signal.getsignal(NUMBER))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [before]


def test_a_run_inside_another_leaves_them_to_that() -> None:
    """The outer one is stopped, the inner one ends by itself."""
    outer, inner = Stops(), Stops()
    with outer.watching(nothing):
        with inner.watching(nothing):
            os.kill(os.getpid(), NUMBER)
        assert (outer.signal, inner.signal) == (NUMBER, None)
