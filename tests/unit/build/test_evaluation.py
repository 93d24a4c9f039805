"""Evaluators from their specs."""

from __future__ import annotations

from typing import Any

import pytest

from engine.build import build_evaluator
from engine.errors import ConfigError, UnknownNameError
from engine.evaluator import Evaluator
from tests.runs import Spread


@pytest.mark.parametrize(
    "given",
    [
        Spread(),
        [Spread(), Spread(prefix="b")],
        {"type": Spread},
        [{"type": Spread, "prefix": "a"}, Spread()],
        {"metrics": [{"type": Spread}]},
        {"type": "Evaluator", "metrics": Spread()},
    ],
)
def test_metrics_become_an_evaluator(given: Any) -> None:
    """However they are given."""
    built = build_evaluator(given)
    assert isinstance(built, Evaluator)
    assert all(isinstance(metric, Spread) for metric in built.metrics)
    assert build_evaluator(built) is built


def test_other_things_are_refused() -> None:
    """It says where."""
    with pytest.raises(ConfigError, match=r"val_evaluator\[1\]: expected a BaseMetric"):
        build_evaluator([Spread(), 3], "val_evaluator")


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("Accuracyy", "Among those of ignite.metrics: Did you mean 'Accuracy'?"),
        ("MulticlassF1Score", "torchmetrics.classification.MulticlassF1Score"),
    ],
)
def test_a_library_metric_is_suggested(name: str, note: str) -> None:
    """A misspelt name of Ignite's, and one of torchmetrics' without its path."""
    with pytest.raises(UnknownNameError, match="no metric is called") as caught:
        build_evaluator({"type": name})
    assert note in "\n".join(caught.value.__notes__)
