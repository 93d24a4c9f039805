"""The text of a progress bar fits, and shows the most telling things longest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.hooks.progress_line import Pace, Work, progress_line, shown_values


@st.composite
def works(draw: st.DrawFn) -> Work:
    """Some work, of known length or not, with or without values."""
    total = draw(st.integers(0, 10**6))
    return Work(
        label=draw(st.sampled_from(["train 3/20", "val", "test"])),
        done=draw(st.integers(0, total or 10**6)),
        total=total,
        per_second=draw(st.none() | st.floats(1e-6, 1e6)),
        eta_seconds=draw(st.none() | st.floats(0, 1e6)),
        values=draw(
            st.dictionaries(st.text("abc", min_size=1), st.just("0.1234"), max_size=6)
        ),
    )


@given(work=works(), width=st.integers(1, 200), is_ascii=st.booleans())
def test_a_line_is_never_too_wide(work: Work, width: int, *, is_ascii: bool) -> None:
    """In no window does it wrap, and it is one line."""
    line = progress_line(work, width=width, is_ascii=is_ascii)
    assert line.cell_len <= width
    assert "\n" not in line.plain
    if is_ascii:
        assert line.plain.isascii()


@given(work=works(), width=st.integers(30, 200))
def test_what_is_done_is_always_told(work: Work, width: int) -> None:
    """The label and the count stand in every line that has room for them."""
    line = progress_line(work, width=width).plain
    assert line.startswith(work.label)
    assert str(work.done) in line
    assert (f"/{work.total}" in line) == (work.total > 0)


@given(work=works(), width=st.integers(30, 200), more=st.integers(0, 100))
def test_a_wider_window_shows_no_less(work: Work, width: int, more: int) -> None:
    """Each value of a line is in a wider one too."""
    narrow = progress_line(work, width=width).plain
    wide = progress_line(work, width=width + more).plain
    values = [f"{name} {value}" for name, value in work.values.items()]
    assert sum(one in narrow for one in values) <= sum(one in wide for one in values)


def test_the_bar_is_as_full_as_the_work_is_done() -> None:
    """Empty at the start, half in the middle, full at the end."""
    for done, full in ((0, 0), (50, 20), (100, 40)):
        line = progress_line(
            Work(label="val", done=done, total=100), width=80, is_ascii=True
        )
        assert (line.plain.count("#"), line.plain.count("-")) == (full, 40 - full)


def test_losses_and_metrics_come_first() -> None:
    """Then the rest; places, times and what is no number are left out."""
    newest = {"lr": 0.5, "time": 1.0, "epoch": 3, "loss": 0.25, "note": "text"}
    shown = shown_values(newest, {"acc": 0.75, "best": True})
    assert list(shown.items()) == [("loss", "0.25"), ("acc", "0.75"), ("lr", "0.5")]


def test_a_rate_looks_back_some_seconds_only() -> None:
    """What was slow at first is forgotten, and so is what was before a restart."""
    pace = Pace()
    pace.note(0.0, 0)
    assert pace.per_second is None
    for second in range(100, 120):
        pace.note(float(second), second * 10)
    assert pace.per_second == 10
    pace.restart(130.0, 0)
    assert pace.per_second is None
