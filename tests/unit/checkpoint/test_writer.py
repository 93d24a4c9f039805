"""One job in flight, in order, and no error is lost."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

import pytest

from engine.checkpoint import Writer

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_job_runs_beside_its_caller() -> None:
    """The caller goes on before it is done."""
    writer, go, done = Writer(), threading.Event(), []

    def job() -> None:
        assert go.wait(10)
        done.append(threading.current_thread().name)

    writer.submit(job)
    assert writer.busy
    assert not done
    go.set()
    writer.wait()
    assert done == ["checkpoint-writer"]
    assert not writer.busy


def test_a_second_one_waits_for_the_first() -> None:
    """They never overlap, and end in the order in which they were given."""
    writer = Writer()
    done: list[int] = []
    for number in range(5):
        writer.submit(functools.partial(done.append, number))
    writer.wait()
    assert done == list(range(5))


@pytest.mark.parametrize("how", ["check", "wait", "submit"])
def test_an_error_is_raised_once(how: str) -> None:
    """At the next occasion, whichever it is, and then it is over."""
    writer = Writer()
    later: list[int] = []

    def fail() -> None:
        raise OSError("the disk is full")

    writer.submit(fail)
    while writer.busy:
        threading.Event().wait(0.001)
    calls: dict[str, Callable[[], None]] = {
        "check": writer.check,
        "wait": writer.wait,
        "submit": lambda: writer.submit(functools.partial(later.append, 1)),
    }
    with pytest.raises(OSError, match="the disk is full"):
        calls[how]()
    assert not later, "what came after it was not begun"
    writer.check()
    writer.wait()


def test_checking_does_not_wait() -> None:
    """While a job runs there is nothing to say."""
    writer, go = Writer(), threading.Event()

    def job() -> None:
        assert go.wait(10)

    writer.submit(job)
    writer.check()
    assert writer.busy
    go.set()
    writer.wait()
