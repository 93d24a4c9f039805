"""Other statistics in log lines, as ``custom_cfg`` asks for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.logging import HistoryBuffer
from engine.loops import LogProcessor
from engine.state import MessageHub

VALUES = st.lists(st.floats(-100, 100), min_size=1, max_size=60)


def after(values: list[float], custom: Any, **settings: Any) -> Any:
    """Values and line when ``values`` were recorded in epochs of 20, history of 10."""
    hub = MessageHub(history=10)
    processor = LogProcessor(custom_cfg=custom, **settings)
    done = 0
    found: Any = None
    for done, value in enumerate(values):
        hub.update_scalar("train/x", value)
        run: Any = SimpleNamespace(
            message_hub=hub,
            epoch=done // 20,
            iter=done,
            max_iters=60,
            max_epochs=3,
            clock=SimpleNamespace(epoch_length=20),
        )
        found = processor.get_log_after_iter(run, done % 20, "train")
    return found


@given(values=VALUES, window=st.integers(1, 70), kind=st.sampled_from(["mean", "max"]))
def test_a_window_of_any_length_is_kept(
    values: list[float], window: int, kind: str
) -> None:
    """Also one that is longer than what a hub keeps unasked."""
    one = {"data_src": "x", "method_name": kind, "window_size": window}
    newest = values[-window:]
    expected = max(newest) if kind == "max" else sum(newest) / len(newest)
    assert after(values, [one])[0]["x"] == pytest.approx(expected, abs=1e-9)


@given(values=VALUES)
def test_windows_of_the_epoch_and_of_all(values: list[float]) -> None:
    """An epoch's begins with it; the scalar's own column stays."""
    custom = [
        {"data_src": "x", "method_name": "min", "window_size": "epoch"},
        {"data_src": "x", "method_name": "min", "window_size": "global"},
    ]
    for index, one in enumerate(custom):
        one["log_name"] = f"x{index}"
    tag, line = after(values, custom, num_digits=3)
    begun = (len(values) - 1) // 20 * 20
    assert tag["x0"] == min(values[begun:])
    assert tag["x1"] == min(values)
    assert line.endswith(
        f"  x: {values[-1]:.3f}  x0: {tag['x0']:.3f}  x1: {tag['x1']:.3f}"
    )


def test_a_registered_statistic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gets the history, the window and further arguments."""
    monkeypatch.setattr(HistoryBuffer, "_STATISTICS", {})

    @HistoryBuffer.register_statistics
    def count_above(self: HistoryBuffer, window_size: int, limit: float) -> int:
        return int((self.data[0][-window_size:] > limit).sum())

    one = {"data_src": "x", "method_name": "count_above", "limit": 1.0}
    for window, expected in ((3, 1), ("global", 2), ("epoch", 2)):
        tag, line = after([5.0, 0.0, 0.0, 7.0], [{**one, "window_size": window}])
        assert tag["x"] == expected
        assert line.endswith(f"x: {expected}")


def test_a_scalar_that_is_not_recorded_has_no_column() -> None:
    """A validation may have it."""
    custom = [{"data_src": "y", "method_name": "mean"}]
    assert "y" not in after([1.0], custom)[0]


def test_a_source_that_is_nearly_a_scalar_is_warned_of_once() -> None:
    """A misspelt one; a validation may have one that is like no other."""
    warned: list[str] = []
    hub = MessageHub()
    for name in ("train/loss", "train/lr", "val/accuracy"):
        hub.update_scalar(name, 1.0)
    processor = LogProcessor(
        custom_cfg=[
            {"data_src": source, "method_name": "mean", "log_name": source}
            for source in ("losss", "recall", "accuracyy")
        ]
    )
    run: Any = SimpleNamespace(
        message_hub=hub,
        epoch=0,
        iter=0,
        max_iters=60,
        clock=SimpleNamespace(epoch_length=20),
        logger=SimpleNamespace(warning=lambda _, line, **__: warned.append(line)),
    )
    for _ in range(2):
        processor.get_log_after_iter(run, 0, "train")
    (line,) = warned
    assert "nothing called 'losss' is logged yet. Did you mean 'loss'?" in line


def test_an_unknown_statistic_is_told_before_any_work() -> None:
    """With the nearest name, and how one's own is made known."""
    custom = [{"data_src": "x", "method_name": "maen"}]
    expected = r"custom_cfg\[0\]: no statistic .* Did you mean 'mean'.*register_stat"
    with pytest.raises(ConfigError, match=expected):
        LogProcessor(custom_cfg=custom)


@pytest.mark.parametrize(
    ("custom", "said"),
    [
        ("x", "expected a list, found 'x'"),
        ([3], r"custom_cfg\[0\]: expected a mapping, found an int"),
        ([{"data_src": "x"}], r"custom_cfg\[0\]: method_name is missing"),
        ([{"method_name": "mean"}], r"custom_cfg\[0\]: data_src is missing"),
        ([{"data_src": "x", "method_name": "mean"}] * 2, r"\[1\]: 'x' is given by"),
        (
            [{"data_src": "x", "method_name": "mean", "window_size": 0}],
            "window_size=0: give a whole number of at least 1, or 'global'",
        ),
        (
            [{"data_src": "x", "method_name": "mean", "window_size": "epoch"}],
            "window_size='epoch': give a whole number",
        ),
        (
            [{"data_src": "x", "method_name": "current", "window_size": 3}],
            "has no window_size",
        ),
    ],
)
def test_bad_settings(custom: Any, said: str) -> None:
    """Each says which entry is wrong; lines by iteration know no epoch."""
    with pytest.raises(ConfigError, match=said):
        LogProcessor(by_epoch=False, custom_cfg=custom)


def test_scalars_named_with_their_mode() -> None:
    """In what backends get; training's line stays short, as MMEngine's does."""
    tag, line = after([0.5], None, log_with_hierarchy=True)
    assert tag == {"train/x": 0.5, "epoch": 1, "iter": 1}
    assert line.endswith("  x: 0.5000")
