"""Laws of the report: nothing that a run wrote is lost, moved, or shown twice."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from engine.report.best import best_index
from engine.report.config import comparable, differences, flatten, read_config
from engine.report.lines import read_lines
from engine.report.log import Story
from engine.report.panels import means, thin
from tests.unit.report.records import begin, iterations, line, save

VALUES = st.floats(allow_nan=True, allow_infinity=True)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
NAMES = st.from_regex(r"[a-z][a-z_]{0,5}", fullmatch=True)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    rows=st.lists(st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)),
    junk=st.lists(
        st.tuples(st.integers(0, 20), st.text(alphabet='{"x}: 1', min_size=1)),
        max_size=4,
    ),
)
def test_broken_lines_lose_no_other(
    rows: list[dict[str, int]], junk: list[tuple[int, str]]
) -> None:
    """Whatever stands between them, whole lines come back in order."""
    lines = [json.dumps(row) for row in rows]
    broken = 0
    for place, text in junk:
        try:
            json.loads(text)
        except ValueError:
            broken += bool(text.strip())
            lines.insert(place, text)
    records, notes = read_lines("".join(f"{one}\n" for one in lines), "file")
    assert records == rows
    assert len(notes) == broken


@given(
    length=st.integers(1, 30),
    epochs=st.integers(1, 6),
    interval=st.integers(1, 12),
)
def test_the_length_of_an_epoch_is_found(
    length: int, epochs: int, interval: int
) -> None:
    """From saves at the ends of epochs and lines between, however few there are."""
    log = begin(max_epochs=epochs)
    for epoch in range(1, epochs + 1):
        done = (epoch - 1) * length
        places = range(done + interval, done + length + 1, interval)
        log += iterations(places, length)
        log.append(line("val_metrics", step=epoch, accuracy=0.5))
        log.append(save(epoch, epoch * length))
    story = Story()
    story.take_log(log)
    assert story.length == length
    placed = [one.iteration for one in story.validations()]
    assert placed == [epoch * length for epoch in range(1, epochs + 1)]


@given(
    cuts=st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), max_size=4),
    last=st.integers(1, 20),
)
def test_a_run_that_was_cut_is_told_like_one_that_was_not(
    cuts: list[tuple[int, int]], last: int
) -> None:
    """Killed at any iterations and resumed from any checkpoints before them."""
    log, done = begin(), 0
    for later, checkpoint in cuts:
        killed_at = max(later, done + 1)
        # What is lost differs from what is done again, to see which one is shown.
        log += iterations(range(done + 1, min(checkpoint, killed_at) + 1))
        kept = min(max(checkpoint, done), killed_at)
        log += iterations(range(max(kept, done) + 1, killed_at + 1), scale=-1)
        if kept == 0:
            log, done = begin(), 0
            continue
        log += begin(kept)
        done = kept
    log += iterations(range(done + 1, done + last + 1))
    cut, whole = Story(), Story()
    cut.take_log(log)
    whole.take_log([*begin(), *iterations(range(1, done + last + 1))])
    assert cut.curves() == whole.curves()


@given(values=st.lists(VALUES, max_size=60), most=st.integers(8, 40), data=st.data())
def test_a_thinned_curve_keeps_what_matters(
    values: list[float], most: int, data: st.DataObject
) -> None:
    """Its ends, its extremes, the point asked for; points in order, none made up."""
    keep = data.draw(st.none() | st.integers(0, len(values) - 1)) if values else None
    places, kept = thin(range(len(values)), values, most, keep=keep)
    assert len(places) <= max(most, 8)
    assert list(places) == sorted(set(places))
    assert [repr(one) for one in kept] == [repr(values[place]) for place in places]
    finite = [one for one in values if math.isfinite(one)]
    assert not finite or {min(finite), max(finite)} <= set(kept)
    assert not values or {0, len(values) - 1} <= set(places)
    assert keep is None or keep in places


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1), most=st.integers(1, 20))
def test_means_of_stretches_weigh_up_to_the_mean(
    values: list[float], most: int
) -> None:
    """In order, within what was logged; of one stretch it is the mean itself."""
    places, found = means(range(len(values)), values, most)
    assert 1 <= len(places) <= most
    assert list(places) == sorted(set(places))
    room = 1e-9 * max(map(abs, values))
    assert all(min(values) - room <= one <= max(values) + room for one in found)
    (whole,) = means(range(len(values)), values, 1)[1]
    assert whole == sum(values) / len(values)


@given(values=st.lists(VALUES), rule=st.sampled_from(["greater", "less"]))
def test_the_best_is_the_first_that_none_beats(values: list[float], rule: str) -> None:
    """Values that are not finite are no candidates."""
    index = best_index(values, rule)
    finite = [one for one in values if math.isfinite(one)]
    if not finite:
        assert index is None
        return
    best = max(finite) if rule == "greater" else min(finite)
    assert index == values.index(best)


@given(tree=st.dictionaries(NAMES, TREES, max_size=4))
def test_a_config_is_read_back_from_its_text(tree: dict[str, object]) -> None:
    """Values of all kinds; and it does not differ from itself."""
    text = "".join(f"{name} = {value!r}\n" for name, value in tree.items())
    assert read_config(text) == tree
    assert differences([comparable(tree), comparable(tree)]) == []


@given(tree=st.dictionaries(NAMES, TREES, min_size=1, max_size=4), data=st.data())
def test_a_changed_entry_is_the_one_that_differs(
    tree: dict[str, object], data: st.DataObject
) -> None:
    """No other is listed, and both values are shown."""
    flat = flatten(tree)
    key = data.draw(st.sampled_from(sorted(flat)))
    (found,) = differences([flat, {**flat, key: "changed"}])
    assert (found.key, found.values) == (key, (flat[key], "changed"))
