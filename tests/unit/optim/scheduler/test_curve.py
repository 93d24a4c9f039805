"""The curves' corners; their middle is held by the laws in tests/property."""

from __future__ import annotations

import pytest

from engine.optim.scheduler.curve import cosine, linear, multi_step


def test_linear_starts_from_the_value_that_is_there() -> None:
    """Step 0 multiplies what another schedule may have left."""
    assert linear(0, 3.0, steps=4, start_factor=0.5, end_factor=1.0) == 1.5


def test_linear_that_ended_at_zero_stays() -> None:
    """Past a line down to 0 there is nothing to divide by."""
    value = linear(5, 0.0, steps=4, start_factor=0.5, end_factor=0.0)
    assert value == 0.0


def test_cosine_turns_at_its_lowest_value() -> None:
    """The quotient is 0/0 there; the value lifts off as it came down."""
    down = cosine(3, 0.5, steps=4, start=1.0, end=0.0)
    lowest = cosine(4, down, steps=4, start=1.0, end=0.0)
    up = cosine(5, lowest, steps=4, start=1.0, end=0.0)
    assert lowest == 0.0
    assert up == pytest.approx(down)


def test_cosine_keeps_the_first_value() -> None:
    """Step 0 changes nothing, whatever another schedule left there."""
    assert cosine(0, 0.37, steps=4, start=1.0, end=0.0) == 0.37


def test_a_milestone_that_is_there_twice_counts_twice() -> None:
    """Two factors fall on one step."""
    assert multi_step(3, 1.0, milestones=[3, 3], gamma=0.5) == 0.25
    assert multi_step(2, 0.3, milestones=[3, 3], gamma=0.5) == 0.3
