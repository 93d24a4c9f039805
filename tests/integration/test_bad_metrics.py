"""Metrics that do what they should not, and evaluation in half precision."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from ignite.metrics import ConfusionMatrix

from engine import BaseMetric, CheckpointHook
from engine.errors import MetricError
from tests.runs import Recorder, RunPlan, Samples, make_runner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine import Runner

PLAN = RunPlan(max_epochs=2, augment=False)


class Gives(BaseMetric):
    """Reports what it is told to, one thing for each validation.

    Args:
        given: The things; the last one again and again.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__()
        self.given = list(given)

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        self.results.append(data_samples[0]["outputs"].dtype)

    def compute_metrics(self, results: list[Any]) -> Any:
        found = self.given.pop(0) if len(self.given) > 1 else self.given[0]
        return found(results) if callable(found) else found


def runner(folder: Path, metric: Any, **best: Any) -> Runner:
    """A toy run with a metric, and a hook that keeps the best by it."""
    hooks = [Recorder(), CheckpointHook(interval=1, **best)]
    given: dict[str, Any] = {"val_evaluator": metric, "custom_hooks": hooks}
    return make_runner(PLAN, folder, log_level="WARNING", **given)


@pytest.mark.parametrize("found", [0.5, None, [1], "acc"])
def test_a_metric_that_returns_no_dict(found: Any, tmp_path: Path) -> None:
    """It is named, with what it returned and what it should return."""
    expected = r"Gives.compute_metrics returned .*return a dict such as \{"
    with pytest.raises(MetricError, match=expected):
        runner(tmp_path, Gives(found)).train()


def test_a_metric_that_is_nan_is_never_the_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run goes on; a number after it is the best so far."""
    metric = Gives({"acc": math.nan}, {"acc": 0.1})
    made = runner(tmp_path, metric, save_best="acc")
    made.train()
    assert "save_best='acc': the metric is nan" in capsys.readouterr().err
    assert [one.name for one in tmp_path.glob("best_*.pth")] == ["best_acc_epoch_2.pth"]
    log = next(tmp_path.glob("*/*.log.jsonl")).read_text()
    assert '"best_metric_is_nan"' in log


def test_a_watched_metric_that_is_missing(tmp_path: Path) -> None:
    """It names those that there are, and the one that is near."""
    with pytest.raises(MetricError) as error:
        runner(
            tmp_path, Gives({"accuracy": 0.1}), save_best="accurasy", rule="greater"
        ).train()
    asked = "CheckpointHook: save_best='accurasy': no metric is called 'accurasy'."
    assert f"{asked} Did you mean 'accuracy'?" in str(error.value)
    assert "The evaluation gave 'accuracy'." in str(error.value)


def test_a_watched_metric_that_is_a_table(tmp_path: Path) -> None:
    """It is no number; the message says what it is."""
    made = runner(
        tmp_path, ConfusionMatrix(2), save_best="confusion_matrix", rule="greater"
    )
    with pytest.raises(MetricError, match=r"'confusion_matrix' is a Tensor, but what"):
        made.train()


def test_a_table_among_the_metrics_is_no_scalar(tmp_path: Path) -> None:
    """It is not logged as one, and hooks get it."""
    made = runner(tmp_path, [ConfusionMatrix(2), Gives({"acc": 0.1})])
    made.train()
    assert made.message_hub.get_info("val/confusion_matrix").shape == (2, 2)
    assert "val/confusion_matrix" not in made.message_hub.log_scalars
    assert "val/acc" in made.message_hub.log_scalars


@pytest.mark.parametrize("mode", ["val", "test"])
@pytest.mark.parametrize("fp16", [True, False])
def test_loops_in_half_precision(mode: str, fp16: bool, tmp_path: Path) -> None:
    """Under autocast, which on a CPU is bfloat16; training's type stays."""
    metric = Gives(lambda results: {"half": float(results[0] == torch.bfloat16)})
    part = {
        f"{mode}_dataloader": {
            "dataset": Samples(5),
            "batch_size": 3,
            "collate_fn": "default_collate",
        },
        f"{mode}_cfg": {"fp16": fp16},
        f"{mode}_evaluator": metric,
    }
    made = make_runner(PLAN, tmp_path, **part)
    found = made.val() if mode == "val" else made.test()
    assert found == {"half": float(fp16)}
    if mode == "val":
        made = make_runner(PLAN, tmp_path / "training", **part)
        made.train()
        assert made.message_hub.get_scalar("val/half").current() == float(fp16)
        assert {one.dtype for one in made.model.parameters()} == {torch.float32}
