"""Evaluator: several metrics as one; get_metric_value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from ignite.metrics import Accuracy

from engine.errors import MetricError
from engine.evaluator import BaseMetric, Evaluator, get_metric_value
from engine.registry import EVALUATOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Seen(BaseMetric):
    """Keeps the calls of process and reports how many samples came."""

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix=prefix)
        self.calls: list[tuple[Any, Any]] = []

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        self.calls.append((data_batch, data_samples))
        self.results.extend(data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        return {"count": len(results)}


class Sample:
    def __init__(self, label: int) -> None:
        self.label = label

    def to_dict(self) -> dict[str, int]:
        return {"label": self.label}


def test_each_metric_gets_batch_and_samples() -> None:
    """Process hands the batch first and the samples second, as a list."""
    first, second = Seen("a"), Seen("b")
    Evaluator([first, second]).process((1, 2), {"x": 0})
    assert first.calls == second.calls == [({"x": 0}, [1, 2])]


def test_the_batch_may_be_left_out() -> None:
    """Samples alone are enough for metrics that need no batch."""
    metric = Seen()
    Evaluator(metric).process([1])
    assert metric.calls == [(None, [1])]


def test_samples_with_to_dict_come_as_dicts() -> None:
    """Only elements that can be turned into dicts are."""
    metric = Seen()
    Evaluator(metric).process([Sample(3), 4])
    assert metric.calls == [(None, [{"label": 3}, 4])]


@pytest.mark.parametrize(
    ("samples", "kind"), [({"scores": 1}, "dict"), ("ab", "str"), (3, "int")]
)
def test_a_single_sample_is_refused(samples: Any, kind: str) -> None:
    """A mapping's keys or a text's letters are nobody's samples."""
    with pytest.raises(
        MetricError, match=f"data_samples is an? {kind}, .* return a list"
    ):
        Evaluator(Seen()).process(samples)


def test_values_are_merged_in_order() -> None:
    """All metrics' values stand in one dict, in the metrics' order."""
    evaluator = Evaluator([Seen("b"), Seen("a")])
    evaluator.process([1, 2])
    assert list(evaluator.evaluate(2).items()) == [("b/count", 2), ("a/count", 2)]


def test_no_metrics_give_no_values() -> None:
    """An evaluator without metrics is a valid one."""
    assert Evaluator([]).evaluate(3) == {}


def test_a_name_reported_twice_is_an_error() -> None:
    """Both metrics are named, and the cure is."""
    evaluator = Evaluator([Seen(), Seen("x"), Seen()])
    evaluator.process([1])
    expected = (
        r"metrics\[0\] \(Seen\) and metrics\[2\] \(Seen\) both report 'count'\. "
        r"Give one of them prefix=\.\.\.,"
    )
    with pytest.raises(MetricError, match=expected):
        evaluator.evaluate(1)


def test_reset_reaches_all_metrics() -> None:
    """Half-gathered results of each metric are forgotten."""
    evaluator = Evaluator([Seen("a"), Seen("b")])
    evaluator.process([1, 2, 3])
    evaluator.reset()
    evaluator.process([9])
    assert evaluator.evaluate(3) == {"a/count": 1, "b/count": 1}


def test_dataset_meta_is_handed_on() -> None:
    """What is said of the dataset reaches the evaluator and all metrics."""
    metrics = [Seen("a"), Seen("b")]
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = {"classes": 3}
    found = [evaluator.dataset_meta, *(metric.dataset_meta for metric in metrics)]
    assert found == [{"classes": 3}] * 3


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"type": "Seen"},
            r"metrics\[0\] is a builtins\.dict, .*build\.build_evaluator\(spec\)",
        ),
        ([Seen(), 3], r"metrics\[1\] is a builtins\.int, .*subclass of BaseMetric"),
        (Accuracy, r"metrics\[0\] is a abc\.ABCMeta, .*Make one of the class: Acc"),
        ([Seen], r"metrics\[0\] is a abc\.ABCMeta, .*Make one of the class: Seen\("),
    ],
    ids=["spec", "int", "ignite", "class"],
)
def test_only_finished_metrics_are_taken(given: Any, expected: str) -> None:
    """What is no BaseMetric is named with its place, and what to do."""
    with pytest.raises(MetricError, match=expected):
        Evaluator(given)


def test_offline_evaluate_chunks_samples_and_data() -> None:
    """Each chunk of predictions comes with the data of the same places."""
    metric = Seen()
    values = Evaluator(metric).offline_evaluate([1, 2, 3], "abc", chunk_size=2)
    assert metric.calls == [(["a", "b"], [1, 2]), (["c"], [3])]
    assert values == {"count": 3}


def test_offline_evaluate_takes_an_element_for_a_whole_batch() -> None:
    """No result of what was kept is taken for padding: a batch gives several."""

    class PerSample(Seen):
        def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
            del data_batch
            self.results += [one for batch in data_samples for one in batch]

    kept = [[1, 2, 3], [4, 5]]
    assert Evaluator(PerSample()).offline_evaluate(kept) == {"count": 5}


@pytest.mark.parametrize(
    ("failing", "note"),
    [
        ("process", r"in metrics\[1\] \(Breaks\)\.process; its data_samples: 1, the"),
        ("compute_metrics", r"in metrics\[1\] \(Breaks\)\.evaluate"),
    ],
)
def test_a_metric_that_fails_is_named(failing: str, note: str) -> None:
    """The error says which of several metrics it came from, and what that was given."""

    class Breaks(Seen):
        def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
            super().process(data_batch, data_samples)
            if failing == "process":
                raise ZeroDivisionError

        def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
            del results
            raise ZeroDivisionError

    evaluator = Evaluator([Seen("a"), Breaks("b")])
    with pytest.raises(ZeroDivisionError) as caught:
        evaluator.offline_evaluate([1])
    assert re.search(note, "\n".join(caught.value.__notes__))


def test_offline_evaluate_needs_no_data() -> None:
    """Without data the metrics get None for each batch."""
    metric = Seen()
    Evaluator(metric).offline_evaluate([1, 2])
    assert metric.calls == [(None, [1]), (None, [2])]


def test_offline_evaluate_walks_what_has_no_slices() -> None:
    """A dataset that can only be walked serves as data."""

    class Walked:
        def __len__(self) -> int:
            return 2

        def __iter__(self) -> Iterator[str]:
            return iter("ab")

    metric = Seen()
    data: Any = Walked()
    Evaluator(metric).offline_evaluate([1, 2], data, chunk_size=5)
    assert metric.calls == [(["a", "b"], [1, 2])]


def test_offline_evaluate_starts_from_nothing() -> None:
    """Results of an evaluation that was broken off do not count."""

    class Kept(Seen):
        def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
            return {"kept": results}

    evaluator = Evaluator(Kept())
    evaluator.process([7])
    assert evaluator.offline_evaluate([1, 2]) == {"kept": [1, 2]}


def test_offline_evaluate_wants_as_much_data_as_samples() -> None:
    """Lengths that differ are an error before anything is processed."""
    metric = Seen()
    with pytest.raises(MetricError, match="3 data_samples but 2 data"):
        Evaluator(metric).offline_evaluate([1, 2, 3], [1, 2])
    assert metric.calls == []


def test_offline_evaluate_wants_a_positive_chunk() -> None:
    """A chunk of no samples would never come to an end."""
    with pytest.raises(MetricError, match=r"chunk_size is 0, .* at least 1"):
        Evaluator(Seen()).offline_evaluate([1], chunk_size=0)


def test_the_evaluator_is_found_by_name() -> None:
    """A config may say Evaluator."""
    assert EVALUATOR.get("Evaluator") is Evaluator


@pytest.mark.parametrize(
    ("indicator", "value"), [("acc", 1), ("p/acc", 1), ("top5", 3), ("deep", 4)]
)
def test_an_indicator_finds_its_value(indicator: str, value: int) -> None:
    """A whole name is found, and so is the part behind the last slash."""
    metrics = {"p/acc": 1, "p/top1": 2, "top5": 3, "p/q/deep": 4}
    assert get_metric_value(indicator, metrics) == value


def test_an_indicator_that_fits_several_is_an_error() -> None:
    """The candidates are named, an unprefixed one among them."""
    with pytest.raises(MetricError, match="'acc' is ambiguous: 'acc', 'q/acc' are"):
        get_metric_value("acc", {"acc": 1, "q/acc": 2, "q/loss": 3})


def test_a_whole_name_is_not_ambiguous() -> None:
    """With its prefix a metric is told from its namesakes."""
    assert get_metric_value("q/acc", {"p/acc": 1, "q/acc": 2}) == 2


@pytest.mark.parametrize(
    ("indicator", "metrics", "expected"),
    [
        ("ac", {"p/acc": 1}, "called 'ac'. Did you mean 'acc'?.* gave 'p/acc'"),
        ("p/ac", {"p/acc": 1}, "called 'p/ac'. Did you mean 'p/acc'?"),
        ("q/acc", {"p/q/acc": 1}, "called 'q/acc'"),
        ("acc", {}, "called 'acc'. The evaluation gave none at all"),
    ],
    ids=["short", "whole", "half a prefix", "no metrics"],
)
def test_an_indicator_that_fits_none_is_an_error(
    indicator: str, metrics: dict[str, int], expected: str
) -> None:
    """The nearest name is proposed, and what there is is listed."""
    with pytest.raises(MetricError, match=expected.replace("?", r"\?")):
        get_metric_value(indicator, metrics)
