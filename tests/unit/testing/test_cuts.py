"""Where a trial run is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.testing.cuts import Facts, choose_cuts


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    """Of runs with up to 40 iterations."""
    total = draw(st.integers(1, 40))
    return Facts(
        iterations=total,
        epoch_length=draw(st.integers(1, total)),
        window=draw(st.integers(1, 5)),
        validations=tuple(sorted(draw(st.sets(st.integers(1, total), max_size=4)))),
    )


@given(facts=facts(), points=st.integers(1, 9))
def test_cuts_lie_inside_the_run_in_its_order(facts: Facts, points: int) -> None:
    """As many as there are places for, each once."""
    cuts = choose_cuts(facts, points)
    places = [(cut.iteration, cut.validated) for cut in cuts]
    assert places == sorted(set(places))
    assert all(0 < cut.iteration < facts.iterations for cut in cuts)
    assert len(cuts) >= min(points, facts.iterations - 1)
    assert all(cut.iteration in facts.validations for cut in cuts if cut.validated)


@given(facts=facts(), points=st.integers(1, 9))
def test_the_reason_is_true(facts: Facts, points: int) -> None:
    """What a cut says of its place is so."""
    for cut in choose_cuts(facts, points):
        due = cut.iteration in facts.validations
        assert due == ("validation" in cut.why)
        assert cut.validated == cut.why.startswith("after")
        if "window" in cut.why:
            assert cut.iteration % facts.window
        if "epoch" in cut.why:
            at_end = cut.iteration % facts.epoch_length == 0
            assert at_end == ("end" in cut.why)


def test_the_first_cuts_are_those_that_break_most_often() -> None:
    """Inside an epoch and a window, before and after a validation."""
    plan = Facts(iterations=20, epoch_length=10, window=5, validations=(10, 20))
    told = [(cut.iteration, cut.why) for cut in choose_cuts(plan, 3)]
    assert told == [
        (6, "inside an epoch and an accumulation window"),
        (10, "before a validation"),
        (10, "after a validation"),
    ]
