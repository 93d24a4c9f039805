"""Tests with augmentation: several views of each sample, one prediction."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from engine import BaseMetric, BaseModel, EvalEngine, Runner
from engine.errors import ConfigError, HookError, ModelError
from engine.evaluator import DumpResults, Evaluator
from engine.hooks import PrepareTTAHook
from engine.model import BaseTTAModel
from engine.runner import build_runner_with_tta

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Sample:
    """What is known of a point; no mapping, so that it is collated whole."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.prediction = torch.zeros(1)

    def to_dict(self) -> dict[str, Any]:
        return {"index": self.index, "prediction": self.prediction}


class Points(Dataset[dict[str, Any]]):
    """Points, or with a pipeline that says so, two views of each."""

    def __init__(self, pipeline: Sequence[str] = ()) -> None:
        self.points = torch.arange(10.0).reshape(5, 2)
        self.pipeline = pipeline

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> dict[str, Any]:
        point = self.points[index]
        if "views" in self.pipeline:
            views = [point, point.flip(0) * 2]
            return {"inputs": views, "data_samples": [Sample(index), Sample(index)]}
        return {"inputs": point, "data_samples": Sample(index)}


class First(BaseModel):
    """Predicts a point's first coordinate."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1, bias=False)
        self.layer.weight.data = torch.tensor([[1.0, 0.0]])
        self.calls = 0

    def forward(
        self, inputs: Any, data_samples: Any = None, mode: str = "tensor"
    ) -> Any:
        assert not self.training
        self.calls += 1
        outputs = self.layer(torch.stack(list(inputs)))
        if mode != "predict":
            return outputs
        for sample, output in zip(data_samples, outputs, strict=True):
            sample.prediction = output
        return data_samples


class Mean(BaseTTAModel):
    """The mean of the views' predictions."""

    def merge_preds(self, data_samples_list: list[list[Any]]) -> list[Any]:
        for views in data_samples_list:
            mean = torch.stack([one.prediction for one in views]).mean(0)
            views[0].prediction = mean
        return [views[0] for views in data_samples_list]


class Predictions(BaseMetric):
    """All predictions, in order."""

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        for sample in data_samples:
            self.results.append((sample["index"], sample["prediction"].item()))

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        return {"all": [value for _, value in sorted(results)]}


def config(folder: Path, **changes: Any) -> dict[str, Any]:
    """A test of the toy model."""
    return {
        "model": {"type": First},
        "work_dir": str(folder),
        "test_dataloader": {
            "dataset": {"type": Points, "pipeline": []},
            "batch_size": 2,
        },
        "test_cfg": {},
        "test_evaluator": Predictions(),
        "log_level": "ERROR",
        **changes,
    }


PLAIN = [0.0, 2.0, 4.0, 6.0, 8.0]
MERGED = [1.0, 4.0, 7.0, 10.0, 13.0]  # the mean of x and 2 y


def test_views_are_merged(tmp_path: Path) -> None:
    """In the test alone: the model is the run's own again afterwards."""
    given = config(tmp_path, tta_model={"type": Mean}, tta_pipeline=["views"])
    runner = build_runner_with_tta(given)
    assert given["test_dataloader"]["dataset"]["pipeline"] == []
    assert runner.test() == {"all": MERGED}
    assert isinstance(runner.model, First)
    assert runner.model.calls == 6
    assert runner.test() == {"all": MERGED}
    assert Runner.from_cfg(config(tmp_path)).test() == {"all": PLAIN}


def test_the_model_is_put_back_when_a_test_fails(tmp_path: Path) -> None:
    """And the error reaches the caller."""
    hook = {"type": "PrepareTTAHook", "tta_cfg": {"type": Mean}}
    loader = {"dataset": Points(), "batch_size": None, "collate_fn": None}
    given = config(tmp_path, test_dataloader=loader, custom_hooks=[hook])
    runner = Runner.from_cfg(given)  # its samples have no views
    with pytest.raises(ModelError, match="each entry of a batch must be a list"):
        runner.test()
    assert isinstance(runner.model, First)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            {"inputs": [1, 2], "x": [3, 4]},
            [{"inputs": 1, "x": 3}, {"inputs": 2, "x": 4}],
        ),
        ([[1, 2], (3, 4)], [[1, 3], [2, 4]]),
    ],
)
def test_a_batch_is_taken_apart(data: Any, expected: list[Any]) -> None:
    """Named entries, and entries in a row; each view is one batch."""

    class Echo(nn.Module):
        def test_step(self, data: Any) -> list[Any]:
            return [data, data]  # two samples

    merged = Mean.merge_preds
    try:
        Mean.merge_preds = lambda _, some: some  # type: ignore[method-assign,assignment]  # to look at what it gets
        assert Mean(Echo()).test_step(data) == [expected, expected]
    finally:
        Mean.merge_preds = merged  # type: ignore[method-assign]  # as it was


def test_what_is_no_view() -> None:
    """Entries of other lengths, and batches without entries."""
    bad: list[Any] = [{"a": [1, 2], "b": [1]}, {"a": 1}, 3, []]
    for data in bad:
        with pytest.raises(ModelError, match="one element for each view"):
            Mean(First()).test_step(data)
    with pytest.raises(ModelError, match="module is a Linear, but a model with a test"):
        Mean(nn.Linear(1, 1))


def test_a_config_without_a_model_to_merge(tmp_path: Path) -> None:
    """It names what is missing."""
    with pytest.raises(ConfigError, match="has no tta_model"):
        build_runner_with_tta(config(tmp_path))
    loader = {"dataset": Points(), "batch_size": 1}
    with pytest.raises(ConfigError, match="but there is none"):
        build_runner_with_tta(
            config(
                tmp_path,
                tta_model={"type": Mean},
                tta_pipeline=[],
                test_dataloader=loader,
            )
        )


def test_an_engine_composed_in_code_is_told_what_to_do() -> None:
    """Its step calls the model itself."""
    tester = EvalEngine(lambda _, batch: batch, mode="test")
    tester.add_hook(PrepareTTAHook({"type": Mean}))
    with pytest.raises(HookError, match="let that step call the test_step"):
        tester.run([1])


def test_results_are_dumped_and_evaluated_without_a_model(tmp_path: Path) -> None:
    """The file holds the predictions, on the host; it is whole when it is there."""
    out = tmp_path / "kept" / "predictions.pkl"
    runner = Runner.from_cfg(
        config(
            tmp_path,
            test_evaluator=[
                Predictions(),
                {"type": "DumpResults", "out_file_path": str(out)},
            ],
        )
    )
    metrics = runner.test()
    kept = pickle.loads(out.read_bytes())  # noqa: S301 - written a moment ago
    assert [one["index"] for one in kept] == [0, 1, 2, 3, 4]
    assert all(isinstance(one["prediction"], Tensor) for one in kept)
    assert Evaluator(Predictions()).offline_evaluate(kept, chunk_size=2) == metrics
    assert [one.name for one in out.parent.iterdir()] == ["predictions.pkl"]
    with pytest.raises(ValueError, match=r"must end with .pkl or .pickle"):
        DumpResults("predictions.json")
