"""Law: a run that is stopped or fails anywhere goes on as if it never had."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.checkpoint import find_latest_checkpoint, read
from engine.errors import RunInterrupted
from engine.state import Phase
from tests.breaking import PLACES, Cut, Place, broken_runner
from tests.runs import RunPlan, story

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine import Runner

PLANS = (
    RunPlan(max_epochs=3, accumulate=2),
    RunPlan(max_epochs=None, max_iters=8, val_interval=3),
    RunPlan(max_epochs=2, val_interval=2, schedule="epoch"),
)
LIVE = (
    "before_save_checkpoint",
    "before_val",
    "validation data",
    "before_val_iter",
    "after_val_iter",
    "metrics",
    "after_val_epoch",
    "after_val",
)
"""What breaks there leaves the state of a safe point."""

DONE = Phase.FINISHED
_WHOLE: dict[RunPlan, dict[str, Any]] = {}


class OhNo(Exception):  # noqa: N818 - it is nothing else
    """What breaks a run."""


def fail() -> None:
    """Break the run."""
    raise OhNo


def send(number: int) -> Callable[[], None]:
    """Something that sends this process a signal."""
    return lambda: os.kill(os.getpid(), number)


def nothing() -> Place:
    """Nothing happens anywhere."""
    return Place(Cut("nowhere", 1), fail)


def unbroken(plan: RunPlan) -> dict[str, Any]:
    """The story of the run that was never cut; made once."""
    if plan not in _WHOLE:
        folder = Path(tempfile.mkdtemp())
        runner = broken_runner(plan, folder, nothing())
        runner.train()
        _WHOLE[plan] = story(runner)
        shutil.rmtree(folder)
    return _WHOLE[plan]


@st.composite
def cuts(draw: st.DrawFn) -> Cut:
    """A place, and one of the first times that a run comes by."""
    return Cut(draw(st.sampled_from(PLACES)), draw(st.integers(1, 9)))


def ended_by(runner: Runner) -> BaseException | None:
    """Train; what ended it before its end, if something did."""
    try:
        runner.train()
    except (RunInterrupted, OhNo) as error:
        return error
    return None


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """SIGINT as python begins with it: a test run in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@given(plan=st.sampled_from(PLANS), cut=cuts(), name=st.sampled_from(["TERM", "INT"]))
def test_a_signal_anywhere(plan: RunPlan, cut: Cut, name: str) -> None:
    """Within an iteration it is saved, once; the resumed run is the unbroken one."""
    number = signal.Signals[f"SIG{name}"]
    handler = signal.getsignal(number)
    folder = Path(tempfile.mkdtemp())
    try:
        place = Place(cut, send(number))
        runner = broken_runner(plan, folder, place)
        error = ended_by(runner)
        assert isinstance(error, RunInterrupted) == place.acted
        assert signal.getsignal(number) == handler
        if isinstance(error, RunInterrupted):
            assert error.signal == number
            assert error.exit_code == 128 + number
        if isinstance(error, RunInterrupted) and runner.state.phase is not DONE:
            assert str(error.path) == find_latest_checkpoint(folder)
            saved = read(folder / str(error.path))["engine"]["run_state"]
            assert saved["progress"]["iteration"] == runner.state.iteration
            assert len(list(folder.glob("stopped_*.pth"))) <= 1
        resumed = broken_runner(plan, folder, nothing(), resume=True)
        resumed.train()
        assert story(resumed) == unbroken(plan)
        left = [str(path) for path in folder.glob("stopped_*.pth")]
        assert left in ([], [find_latest_checkpoint(folder)])
    finally:
        shutil.rmtree(folder)


@given(plan=st.sampled_from(PLANS), cut=cuts(), freeze=st.sampled_from([0, 2]))
def test_an_error_anywhere(plan: RunPlan, cut: Cut, freeze: int) -> None:
    """What is saved, or stands, leads to the end of the run that did not fail."""
    folder = Path(tempfile.mkdtemp())
    try:
        place = Place(cut, fail)
        runner = broken_runner(plan, folder, place)
        runner.trainer.rescue.freeze_each(freeze)
        error = ended_by(runner)
        assert (error is not None) == place.acted
        if error is not None:
            told = " ".join(getattr(error, "__notes__", []))
            live = cut.place in LIVE and "Rescue.freeze" not in told
            assert not live or "Its state is saved" in told, told
        resumed = broken_runner(plan, folder, nothing(), resume=True)
        resumed.train()
        assert story(resumed) == unbroken(plan)
    finally:
        shutil.rmtree(folder)
