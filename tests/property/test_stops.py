"""Law: a run that is stopped or fails anywhere goes on as if it never had."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from engine.checkpoint import find_latest_checkpoint, read
from engine.errors import RunInterrupted
from engine.state import Phase
from tests.breaking import PLACES, Cut, Place, broken_runner
from tests.runs import RunPlan, story

if TYPE_CHECKING:
    from collections.abc import Callable

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

_WHOLE: dict[RunPlan, dict[str, Any]] = {}


class OhNo(Exception):
    """What breaks a run."""


def fail() -> None:
    raise OhNo


def send(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def nothing() -> Place:
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


@given(plan=st.sampled_from(PLANS), cut=cuts(), number=st.sampled_from(["TERM", "INT"]))
def test_a_signal_anywhere(plan: RunPlan, cut: Cut, number: str) -> None:
    """One iteration later at most it is saved, once, and the resume is the run."""
    sent = signal.Signals[f"SIG{number}"]
    before = signal.getsignal(sent)
    folder = Path(tempfile.mkdtemp())
    try:
        place = Place(cut, send(sent))
        runner = broken_runner(plan, folder, place)
        try:
            runner.train()
        except RunInterrupted as error:
            assert error.signal == sent
            assert error.exit_code == 128 + sent
            if runner.state.phase is Phase.INTERRUPTED:
                assert str(error.path) == find_latest_checkpoint(folder)
                saved = read(error.path)["engine"]["run_state"]
                assert saved["progress"]["iteration"] == runner.state.iteration
                assert len(list(folder.glob("stopped_*"))) <= 1
        else:
            assert not place.acted
        assert signal.getsignal(sent) == before
        resumed = broken_runner(plan, folder, nothing(), resume=True)
        resumed.train()
        assert story(resumed) == unbroken(plan)
        left = [path.name for path in folder.glob("stopped_*")]
        assert not left or find_latest_checkpoint(folder) == str(folder / left[0])
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
        try:
            runner.train()
        except OhNo as error:
            assert runner.state.phase in (Phase.FAILED, Phase.READY)
            told = " ".join(getattr(error, "__notes__", []))
            assert cut.place not in LIVE or "Its state is saved" in told, told
        else:
            assert not place.acted
        resumed = broken_runner(plan, folder, nothing(), resume=True)
        resumed.train()
        assert story(resumed) == unbroken(plan)
    finally:
        shutil.rmtree(folder)
