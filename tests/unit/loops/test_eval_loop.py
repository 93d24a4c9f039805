"""The Runner's validation and test loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine import Evaluator
from engine.loops import TestLoop, ValLoop
from engine.registry import LOOPS
from tests.runs import RunPlan, Samples, Spread, make_runner

if TYPE_CHECKING:
    from pathlib import Path


class Described(Samples):
    """Says of itself what its classes are called."""

    metainfo = {"classes": ("no", "yes")}  # noqa: RUF012 - as users write it


def data(size: int = 5) -> dict[str, Any]:
    """A loader of described samples."""
    return {
        "dataset": Described(size),
        "batch_size": 3,
        "collate_fn": "default_collate",
    }


def test_a_validation_returns_its_metrics(tmp_path: Path) -> None:
    """And the metric knows the dataset's meta."""
    metric = Spread(prefix="toy")
    runner = make_runner(
        RunPlan(), tmp_path, val_dataloader=data(), val_evaluator=Evaluator(metric)
    )
    metrics = runner.val()
    assert set(metrics) == {"toy/mean", "toy/drawn"}
    assert metric.dataset_meta == Described.metainfo
    assert isinstance(runner.val_loop, ValLoop)
    assert runner.state.iteration == 0


def test_a_test_opens_no_training_data(tmp_path: Path) -> None:
    """Its spec cannot even be built."""
    runner = make_runner(
        RunPlan(),
        tmp_path,
        train_dataloader={"dataset": {"type": "NoSuchData"}},
        test_dataloader=data(),
        test_cfg={},
        test_evaluator=Spread(),
    )
    assert set(runner.test()) == {"mean", "drawn"}
    assert isinstance(runner.test_loop, TestLoop)
    assert runner.parts.train_loop is None


def test_they_are_registered() -> None:
    """Specs name them."""
    assert LOOPS.get("ValLoop") is ValLoop
    assert LOOPS.get("TestLoop") is TestLoop
