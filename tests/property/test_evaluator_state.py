"""Law: metrics that are saved between any two batches go on as if they never were."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import ignite.metrics as theirs
import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from ignite.engine import Engine

from engine.evaluator import BaseMetric, Evaluator
from engine.evaluator.ignite_memory import IgniteMemory
from engine.evaluator.memory import pack, unpack
from tests.runs import bits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Odd(BaseMetric):
    """Remembers in all the ways that are looked into, and has settings."""

    def __init__(self, scale: float, prefix: str | None = None) -> None:
        super().__init__(prefix=prefix)
        self.scale = scale
        self.rename = {"a": str.upper}  # functions are settings
        self.matrix = torch.zeros(3, 3)
        self.counts = np.zeros(3, dtype=np.int32)
        self.names: set[str] = set()
        self.last: float | None = None
        self.mean = torch.zeros(())

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        for one in data_samples:
            self.results.append((one, np.float32(one), {"tensor": torch.tensor(one)}))
            self.matrix[int(abs(one)) % 3] += one * self.scale
            self.counts[int(abs(one)) % 3] += 1
            self.names.add(f"{one:.0f}")
            self.last = one
            self.mean = (self.mean + one) / 2  # each another tensor, in reused memory

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        total = sum(float(a) + float(b) + c["tensor"].item() for a, b, c in results)
        return {
            "total": total,
            "matrix": self.matrix.tolist(),
            "counts": self.counts.tolist(),
            "names": sorted(self.names),
            "last": self.last,
            "mean": self.mean.item(),
        }

    def reset(self) -> None:
        super().reset()
        self.matrix.zero_()
        self.counts[:] = 0
        self.names.clear()
        self.last = None
        self.mean = torch.zeros(())


def evaluator(scale: float) -> Evaluator:
    """Two of them, at the begin of an evaluation."""
    made = Evaluator([Odd(scale), Odd(2.0, prefix="other")])
    made.reset()
    made.watch()
    return made


def through_a_file(state: Any) -> Any:
    """What is read back of what is written."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


floats = st.floats(-100, 100, width=32)


@given(batches=st.lists(st.lists(floats, max_size=3), min_size=1), data=st.data())
def test_an_evaluation_goes_on(batches: list[list[float]], data: st.DataObject) -> None:
    """In fresh objects and in the same ones; what was saved does not move."""
    cut = data.draw(st.integers(0, len(batches)), label="cut")
    whole = evaluator(0.5)
    for batch in batches[:cut]:
        whole.process(batch)
    state = whole.state_dict()
    saved = through_a_file(state)
    for batch in batches[cut:]:
        whole.process(batch)
    size = sum(map(len, batches)) if any(batches) else 0
    expected = whole.evaluate(size)
    assert bits(state) == bits(saved)  # later batches did not reach into it
    for again, begin in ((evaluator(0.5), saved), (whole, state)):
        again.reset()
        again.watch()
        again.load_state_dict(begin)
        for batch in batches[cut:]:
            again.process(batch)
        assert bits(again.evaluate(size)) == bits(expected)
    assert bits(state) == bits(saved)


def test_settings_of_a_resumed_metric_are_its_own() -> None:
    """What did not change while it gathered is not taken from the file."""
    first = evaluator(0.5)
    first.process([1.0])
    second = evaluator(4.0)
    second.load_state_dict(through_a_file(first.state_dict()))
    assert [one.scale for one in second.metrics] == [4.0, 2.0]  # type: ignore[attr-defined]  # they are Odd


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)
arrays = st.sampled_from(
    [
        np.arange(6, dtype=np.uint16).reshape(2, 3),
        np.array(math.nan),
        np.zeros((0, 3), dtype=np.float16),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.array([2**63], dtype=np.uint64),
        np.arange(6)[::2],
    ]
)


@given(value=plain)
def test_plain_values_come_back(value: Any) -> None:
    """Through a file, of the same types."""
    assert bits(unpack(through_a_file(pack(value)))) == bits(value)


@given(array=arrays, number=st.booleans())
def test_arrays_come_back(array: np.ndarray[Any, Any], number: bool) -> None:
    """Their type, shape and bytes; their numbers too."""
    value = array.reshape(-1)[0] if number and array.size else array
    found = unpack(through_a_file(pack(value)))
    assert type(found) is type(value)
    assert found.dtype == value.dtype
    assert found.shape == value.shape
    assert found.tobytes() == value.tobytes()


def hits(outputs: torch.Tensor, targets: torch.Tensor) -> float:
    """How many are right."""
    return float((outputs.argmax(1) == targets).sum())


METRICS: dict[str, Callable[[], Any]] = {
    "Accuracy": theirs.Accuracy,
    "Precision": theirs.Precision,
    "ConfusionMatrix": lambda: theirs.ConfusionMatrix(3),
    "Loss": lambda: theirs.Loss(torch.nn.functional.cross_entropy),
    "EpochMetric": lambda: theirs.EpochMetric(
        lambda y, t: float((y.argmax(1) == t).sum())
    ),
    "Loss of a module": lambda: theirs.Loss(torch.nn.CrossEntropyLoss()),
    "made of others": lambda: theirs.Fbeta(1),
    "a group": lambda: theirs.MetricGroup({"a": theirs.Accuracy()}),
    "TopK": lambda: theirs.TopKCategoricalAccuracy(2),
}


def feed(metric: Any, batch: Any) -> None:
    """Let a metric, or those that it is made of, see a batch."""
    engine = Engine(lambda *_: batch)
    engine.state.output = batch
    for one in [part.metric for part in IgniteMemory(metric).parts] or [metric]:
        one.iteration_completed(engine)


@given(name=st.sampled_from(sorted(METRICS)), cut=st.integers(0, 4))
def test_ignite_metrics_go_on(name: str, cut: int) -> None:
    """What they name as their state, and what else changed."""
    generator = torch.Generator().manual_seed(cut)
    batches = [
        (torch.randn(3, 3, generator=generator), torch.tensor([0, 1, 2]))
        for _ in range(5)
    ]
    whole = IgniteMemory(METRICS[name]())
    for batch in batches[:cut]:
        feed(whole.metric, batch)
    saved = through_a_file(whole.state_dict())
    again = IgniteMemory(METRICS[name]())
    again.load_state_dict(saved)
    for one in (whole, again):
        for batch in batches[cut:]:
            feed(one.metric, batch)
    assert bits(again.metric.compute()) == bits(whole.metric.compute())
