"""A scalar's history agrees with NumPy over everything that was added."""

from __future__ import annotations

import io
import math
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from engine.state import HistoryBuffer
from tests.strategies import finite_values

if TYPE_CHECKING:
    from collections.abc import Mapping

ENTRIES = st.lists(
    st.tuples(finite_values(), st.integers(1, 64)), min_size=1, max_size=60
)
WINDOWS = st.integers(1, 70)


class OnDevice(Tensor):
    """A CPU tensor that says it is not, and counts how often it was waited for."""

    waits = 0

    is_cpu = False

    @classmethod
    def __torch_function__(
        cls,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in (Tensor.item, Tensor.tolist, Tensor.numpy, Tensor.cpu):
            OnDevice.waits += 1
        result: Any = super().__torch_function__(  # type: ignore[no-untyped-call]  # torch's
            func, types, args, kwargs or {}
        )
        return result


def on_device(value: float) -> Tensor:
    """A scalar that lies on a device, as far as anyone can tell."""
    return torch.tensor(value, dtype=torch.float64).as_subclass(OnDevice)


def filled(
    entries: list[tuple[float, int]], max_length: int = 1_000_000
) -> HistoryBuffer:
    """A history of these values and counts."""
    history = HistoryBuffer(max_length=max_length)
    for value, count in entries:
        history.update(value, count)
    return history


def mean(entries: list[tuple[float, int]]) -> float:
    """Sum of values over sum of counts."""
    values, counts = np.array(entries).T
    return float(values.sum() / counts.sum())


def near(value: float, entries: list[tuple[float, int]]) -> Any:
    """Equal up to the rounding of a sum of these values."""
    return pytest.approx(value, rel=1e-9, abs=1e-12 * np.abs(np.array(entries)).sum())


@given(entries=ENTRIES)
def test_statistics_over_all_agree_with_numpy(
    entries: list[tuple[float, int]],
) -> None:
    """Without a window the statistics cover every value, kept or not."""
    values = np.array(entries)[:, 0]
    for max_length in (1, 7, 1000):
        history = filled(entries, max_length)
        assert history.mean() == near(mean(entries), entries)
        assert history.min() == values.min()
        assert history.max() == values.max()
        assert history.current() == values[-1]
        assert len(history) == len(entries)


@given(
    entries=st.lists(
        st.tuples(
            st.floats(-1e6, 1e6) | st.just(math.nan), st.sampled_from((1, 1, 0.414, 3))
        ),
        min_size=1,
        max_size=40,
    ),
    asked=st.sets(st.integers(0, 39)),
)
@example(entries=[(1.0, 0.414), (1.0, 1), (1.0, 1)], asked={0})
def test_totals_are_the_same_whenever_somebody_asks(
    entries: list[tuple[float, float]], asked: set[int]
) -> None:
    """To the bit what adding one by one gives; NaN is neither least nor greatest."""
    history, total, counted = HistoryBuffer(max_length=5), 0.0, 0.0
    for number, (value, count) in enumerate(entries):
        history.update(value, count)
        total += value
        counted += count
        if number in asked:
            history.mean()
    state = history.state_dict()
    assert repr((state["sum"], state["count"])) == repr((total, counted))
    numbers = [value for value, _ in entries if not math.isnan(value)]
    assert state["min"] == min(numbers, default=math.inf)
    assert state["max"] == max(numbers, default=-math.inf)
    assert state["counts"].tolist() == [count for _, count in entries[-5:]]


@given(entries=ENTRIES, window=WINDOWS)
def test_statistics_over_a_window_agree_with_numpy(
    entries: list[tuple[float, int]], window: int
) -> None:
    """With a window they cover the newest values, all of them if there are fewer."""
    newest = entries[-window:]
    values = np.array(newest)[:, 0]
    for history in (filled(entries), filled(entries, max_length=window)):
        assert history.mean(window) == near(mean(newest), entries)
        assert history.min(window) == values.min()
        assert history.max(window) == values.max()


@given(entries=ENTRIES, window=WINDOWS)
def test_a_window_that_was_asked_for_is_kept_from_then_on(
    entries: list[tuple[float, int]], window: int
) -> None:
    """After one question for a longer window, later answers cover that window."""
    history = HistoryBuffer(max_length=1)
    history.update(*entries[0])
    history.mean(window)
    for value, count in entries[1:]:
        history.update(value, count)
    assert history.mean(window) == near(mean(entries[-window:]), entries)


@given(
    entries=ENTRIES,
    lengths=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    cut=st.integers(0, 60),
)
def test_a_history_goes_on_from_its_state(
    entries: list[tuple[float, int]], lengths: tuple[int, int], cut: int
) -> None:
    """Saved through a file after any value and loaded, it ends as the unbroken one."""
    cut %= len(entries) + 1
    length, other = lengths
    whole = filled(entries, length)
    head = filled(entries[:cut], length)
    file = io.BytesIO()
    torch.save(head.state_dict(), file)
    file.seek(0)
    tail = HistoryBuffer(max_length=other)
    tail.update(1e200)  # forgotten when the state is loaded
    tail.load_state_dict(torch.load(file, weights_only=True))
    for value, count in entries[cut:]:
        tail.update(value, count)
    kept = min(length, len(entries))
    assert [part[-kept:].tolist() for part in tail.data] == [
        part[-kept:].tolist() for part in whole.data
    ]
    for statistic in ("mean", "min", "max", "current"):
        assert tail.statistics(statistic) == whole.statistics(statistic)
    assert len(tail) == len(whole)


@given(entries=ENTRIES)
def test_state_is_taken_not_shared(entries: list[tuple[float, int]]) -> None:
    """Updates after ``state_dict`` do not reach into what it returned."""
    history = filled(entries)
    state = history.state_dict()
    history.update(3.0)
    again = HistoryBuffer()
    again.load_state_dict(state)
    assert again.data[0].tolist() == [value for value, _ in entries]
    assert again.mean() == filled(entries).mean()


@given(
    entries=ENTRIES, where=st.lists(st.sampled_from(("host", "device")), min_size=60)
)
def test_values_on_a_device_keep_their_place(
    entries: list[tuple[float, int]], where: list[str]
) -> None:
    """Floats, CPU tensors and tensors on a device come out in the order they came."""
    history = HistoryBuffer()
    for (value, count), place in zip(entries, where, strict=False):
        history.update(on_device(value) if place == "device" else value, count)
    values, counts = history.data
    assert list(zip(values, counts, strict=True)) == entries
    assert history.current() == entries[-1][0]
    assert len(history) == len(entries)


def test_a_value_on_a_device_is_not_waited_for_until_somebody_asks() -> None:
    """A hundred updates wait for nothing; a question waits once for all of them."""
    history = HistoryBuffer()
    OnDevice.waits = 0
    for value in range(100):
        history.update(on_device(float(value)))
    assert OnDevice.waits == 0
    assert history.mean(100) == pytest.approx(49.5)
    assert OnDevice.waits == 1


@given(
    values=st.lists(
        st.tuples(
            st.integers(-200, 200),
            st.sampled_from(
                [torch.float16, torch.bfloat16, torch.float32, torch.int64, torch.uint8]
            ),
        ),
        min_size=1,
        max_size=8,
    ),
    large=st.integers(2**17, 2**40),
)
def test_types_on_a_device_do_not_spoil_each_other(
    values: list[tuple[int, torch.dtype]], large: int
) -> None:
    """A value comes out as it went in, also between values of a smaller type."""
    tensors = [torch.tensor(value, dtype=dtype) for value, dtype in values]
    tensors.insert(len(tensors) // 2, torch.tensor(large))
    history = HistoryBuffer()
    for tensor in tensors:
        history.update(tensor.as_subclass(OnDevice))
    assert history.data[0].tolist() == [tensor.item() for tensor in tensors]


def test_a_value_on_a_device_is_copied_when_it_is_added() -> None:
    """A graph that writes its outputs in place does not change what was recorded."""
    history = HistoryBuffer()
    value = on_device(1.0)
    history.update(value)
    value.fill_(2.0)
    history.update(value)
    assert history.data[0].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("odd", [None, 3, 400, 599])
def test_many_values_on_a_device_keep_their_counts(odd: int | None) -> None:
    """Also those that were put together there, whichever of them counts double."""
    history = HistoryBuffer()
    counts = [2 if number == odd else 1 for number in range(600)]
    for number, count in enumerate(counts):
        history.update(on_device(float(number)), count)
    assert history.data[0].tolist() == [float(number) for number in range(600)]
    assert history.data[1].tolist() == counts
    assert history.mean() == sum(range(600)) / sum(counts)


def test_values_that_wait_on_a_device_do_not_pile_up() -> None:
    """Ten thousand updates that nobody asks about stay within the window's memory."""
    history = HistoryBuffer(max_length=10)
    for value in range(100):
        history.update(on_device(float(value)))
    tracemalloc.start()
    for value in range(10_000):
        history.update(on_device(float(value)))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 1_000 * 300  # bytes; 10,000 tensors would take 20 times as much


def test_memory_does_not_grow_once_the_window_is_full() -> None:
    """Twenty thousand more values take no more memory than the first ten."""
    history = filled([(float(value), 1) for value in range(20)], max_length=10)
    tracemalloc.start()
    for value in range(20_000):
        history.update(float(value))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 40_000  # bytes; 20,000 floats and their places take 640,000
    assert len(history.data[0]) == 10


def test_saved_state_does_not_grow_once_the_window_is_full() -> None:
    """A checkpoint at the 10,000th value is as large as one at the 100th."""
    history = filled([(float(value), 1) for value in range(100)], max_length=10)
    sizes = []
    for _ in range(2):
        file = io.BytesIO()
        torch.save(history.state_dict(), file)
        sizes.append(len(file.getvalue()))
        for value in range(10_000):
            history.update(float(value))
    assert sizes[1] - sizes[0] <= 64  # torch pads its records; a counter has digits


def test_an_update_with_no_number_poisons_the_mean_only_while_it_is_covered() -> None:
    """NaN is neither hidden nor spread: the mean has it while the window holds it."""
    history = filled([(1.0, 1), (math.nan, 1), (2.0, 1), (4.0, 1)])
    assert math.isnan(history.mean())
    assert math.isnan(history.mean(3))
    assert history.mean(2) == 3.0
