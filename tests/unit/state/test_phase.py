"""The table of phases."""

from __future__ import annotations

import pytest

from engine.state import NEXT, Phase


def test_the_phases_are_those_of_the_specification() -> None:
    """There are seven, called as they are saved."""
    assert [phase.value for phase in Phase] == [
        "ready",
        "training",
        "validating",
        "testing",
        "interrupted",
        "finished",
        "failed",
    ]


def test_failed_is_final() -> None:
    """Nothing follows a failure."""
    assert NEXT[Phase.FAILED] == frozenset()


@pytest.mark.parametrize("phase", [Phase.TRAINING, Phase.VALIDATING, Phase.TESTING])
def test_what_runs_can_be_interrupted_and_can_fail(phase: Phase) -> None:
    """Each active phase may be left in both ways, and an interrupt goes back."""
    assert {Phase.INTERRUPTED, Phase.FAILED} <= NEXT[phase]
    assert phase in NEXT[Phase.INTERRUPTED]


def test_no_phase_follows_itself() -> None:
    """Entering the phase one is in is a mistake."""
    assert not [phase for phase in Phase if phase in NEXT[phase]]


def test_every_phase_but_the_first_can_be_reached() -> None:
    """From READY a run can come everywhere."""
    reached, new = {Phase.READY}, {Phase.READY}
    while new:
        new = {after for phase in new for after in NEXT[phase]} - reached
        reached |= new
    assert reached == set(Phase)
