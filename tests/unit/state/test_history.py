"""The history of one scalar: what the properties in tests/property leave open."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.errors import SerializationError
from engine.state import HistoryBuffer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def _statistics() -> Iterator[None]:
    """Forget the statistics that a test registers."""
    known = dict(HistoryBuffer._STATISTICS)
    yield
    HistoryBuffer._STATISTICS.clear()
    HistoryBuffer._STATISTICS.update(known)


def test_a_history_may_begin_with_values() -> None:
    """Of more values than are kept, the newest stay and the totals cover all."""
    history = HistoryBuffer([1, 2, 6], [1, 1, 2], max_length=2)
    assert history.data[0].tolist() == [2, 6]
    assert history.data[1].tolist() == [1, 2]
    assert history.mean() == 2.25
    assert history.min() == 1


@pytest.mark.parametrize("max_length", [0, -1])
def test_at_least_one_value_is_kept(max_length: int) -> None:
    """A history without room is refused."""
    with pytest.raises(ValueError, match=f"max_length={max_length}: give a whole"):
        HistoryBuffer(max_length=max_length)


def test_each_value_needs_a_count() -> None:
    """Histories of different lengths are refused."""
    with pytest.raises(ValueError, match="2 values and 1 counts: each value needs"):
        HistoryBuffer([1, 2], [1])


def test_an_empty_history_has_no_current_value() -> None:
    """Asking is an error; the mean of nothing is not a number."""
    history = HistoryBuffer()
    with pytest.raises(ValueError, match="no value was added yet"):
        history.current()
    assert math.isnan(history.mean())
    assert len(history) == 0


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ((1.0, math.inf, -math.inf, 1.0), math.nan),
        ((1.0, 1.7e308, 1.7e308, 1.0), math.inf),
        ((1.0, math.nan, 1.0), math.nan),
        ((1.0, math.inf, 1.0), math.inf),
    ],
)
def test_the_mean_of_a_window_of_a_loss_that_diverges(
    values: tuple[float, ...], mean: float
) -> None:
    """It is what floats give, never an error: a log line must not end a run."""
    history = HistoryBuffer(values, [1.0] * len(values))
    assert history.mean(len(values) - 1) == pytest.approx(mean, nan_ok=True)


@pytest.mark.parametrize("number", [np.float64(2), np.float32(2), np.array([2])])
def test_what_numpy_gave_is_saved_as_plain_numbers(number: Any) -> None:
    """A checkpoint holds no others."""
    history = HistoryBuffer()
    history.update(number, np.int64(1))  # type: ignore[arg-type]  # as a user may
    history.update(number)
    state = history.state_dict()
    assert {type(state[key]) for key in ("sum", "count", "min", "max")} <= {float, int}
    assert type(history.current()) in (float, int)
    assert history.mean() == history.mean(1) == 2.0


def test_the_mean_of_a_window_without_counts() -> None:
    """It is not a number, as that of all values is."""
    history = HistoryBuffer([1.0, 2.0, 3.0], [0, 0, 0])
    assert math.isnan(history.mean())
    assert math.isnan(history.mean(2))


@pytest.mark.usefixtures("_statistics")
def test_statistics_of_a_users_own_are_called_by_name() -> None:
    """They get the history and the arguments."""

    @HistoryBuffer.register_statistics
    def spread(history: HistoryBuffer, scale: float = 1.0) -> float:
        return (history.max() - history.min()) * scale

    history = HistoryBuffer([1, 4], [1, 1])
    assert history.statistics("spread") == 3
    assert history.statistics("spread", scale=2.0) == 6
    assert history.statistics("mean", 1) == 4


def test_an_unknown_statistic_gives_the_nearest_name() -> None:
    """A typo is answered with what was meant."""
    with pytest.raises(LookupError, match=r"'maen'; known are .* Did you mean 'mean'"):
        HistoryBuffer([1], [1]).statistics("maen")


def test_a_window_that_was_not_kept_warns() -> None:
    """The first answer covers what is there, and says so."""
    history = HistoryBuffer(range(10), [1] * 10, max_length=4)
    with pytest.warns(UserWarning, match=r"window of 6 .*after 10 values, of which 4"):
        assert history.min(6) == 6


@pytest.mark.parametrize("window", [0, -3])
@pytest.mark.parametrize("statistic", ["mean", "min", "max"])
def test_a_window_has_at_least_one_value(statistic: str, window: int) -> None:
    """The error says what was asked for."""
    with pytest.raises(ValueError, match=f"^window_size={window}: give a whole number"):
        HistoryBuffer([1, 2], [1, 1]).statistics(statistic, window)


def test_a_state_of_another_form_is_refused() -> None:
    """The error lists the keys expected and found."""
    state = HistoryBuffer([1], [1]).state_dict()
    del state["sum"]
    with pytest.raises(SerializationError, match=r"^a scalar's history: expected form"):
        HistoryBuffer().load_state_dict(state)
