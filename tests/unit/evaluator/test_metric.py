"""BaseMetric: from results to prefixed values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import MetricError
from engine.evaluator import BaseMetric

if TYPE_CHECKING:
    from collections.abc import Sequence


class Total(BaseMetric):
    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        self.results.extend(data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        return {"sum": sum(results), "count": len(results)}


class Named(Total):
    default_prefix = "named"


def test_evaluate_cuts_the_padding_off() -> None:
    """Only the first ``size`` results are computed with."""
    metric = Total()
    metric.process(None, [1, 2, 3, 100])
    assert metric.evaluate(size=3) == {"sum": 6, "count": 3}


def test_evaluate_takes_fewer_results_than_samples() -> None:
    """A metric may keep one result for each batch."""
    metric = Total()
    metric.process(None, [1, 2])
    assert metric.evaluate(size=50) == {"sum": 3, "count": 2}


def test_evaluate_forgets_the_results() -> None:
    """The next evaluation starts from nothing."""
    metric = Total()
    metric.process(None, [1, 2])
    metric.evaluate(size=2)
    metric.process(None, [5])
    assert metric.evaluate(size=1) == {"sum": 5, "count": 1}


def test_compute_metrics_may_keep_its_list() -> None:
    """Forgetting the results does not empty what compute_metrics was given."""

    class Keeper(Total):
        def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
            return {"all": results}

    metric = Keeper()
    metric.process(None, [1, 2])
    assert metric.evaluate(size=2) == {"all": [1, 2]}


@pytest.mark.parametrize(
    ("metric", "keys"),
    [
        (Total(), ["sum", "count"]),
        (Total(prefix="val"), ["val/sum", "val/count"]),
        (Named(), ["named/sum", "named/count"]),
        (Named(prefix="val"), ["val/sum", "val/count"]),
        (Named(prefix=""), ["named/sum", "named/count"]),
    ],
    ids=["none", "given", "default", "given over default", "empty"],
)
def test_keys_get_the_prefix(metric: Total, keys: list[str]) -> None:
    """The given prefix stands before each key, else the class's own, else none."""
    metric.process(None, [1])
    assert list(metric.evaluate(size=1)) == keys


def test_no_results_for_a_dataset_is_an_error() -> None:
    """Samples without results mean that process was not called or kept nothing."""
    expected = (
        r"Total\.evaluate: the dataset has 3 samples, .* nothing in self\.results"
    )
    with pytest.raises(MetricError, match=expected):
        Total().evaluate(size=3)


def test_no_results_for_an_empty_dataset_is_computed() -> None:
    """Of no samples a metric makes what it can."""
    assert Total().evaluate(size=0) == {"sum": 0, "count": 0}


def test_values_must_be_named() -> None:
    """A bare number from compute_metrics is refused by name."""

    class Bare(Total):
        def compute_metrics(self, results: list[Any]) -> Any:
            return 0.5

    metric = Bare()
    metric.process(None, [1])
    expected = r"Bare\.compute_metrics returned 0\.5, a float, .* return a dict"
    with pytest.raises(MetricError, match=expected):
        metric.evaluate(size=1)


def test_reset_forgets_the_results() -> None:
    """An evaluation that is started anew has nothing of the broken one."""
    metric = Total()
    metric.process(None, [7])
    metric.reset()
    assert metric.results == []


def test_dataset_meta_is_kept() -> None:
    """What is said of the dataset can be read in process and compute_metrics."""
    metric = Total()
    assert metric.dataset_meta is None
    metric.dataset_meta = {"classes": ("cat", "dog")}
    assert metric.dataset_meta == {"classes": ("cat", "dog")}


def test_collect_device_is_cpu_or_gpu() -> None:
    """A device's name is not what is asked for."""
    assert Total("gpu").collect_device == "gpu"
    with pytest.raises(
        MetricError, match=r"collect_device is 'cuda', .* 'cpu' or 'gpu'"
    ):
        Total(collect_device="cuda")
