"""NaiveVisualizationHook: the test's images are shown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from engine import BaseMetric, Runner
from engine.errors import DataError
from engine.hooks import NaiveVisualizationHook
from engine.visualization import LocalVisBackend, Visualizer

if TYPE_CHECKING:
    from pathlib import Path


class Board(Visualizer):
    """Keeps what it is to show."""

    def __init__(self) -> None:
        super().__init__()
        self.graphs: list[Any] = []
        self.shown: list[tuple[Any, ...]] = []

    def add_graph(self, model: nn.Module, data_batch: Any = None, **more: Any) -> None:
        self.graphs.append((model, data_batch))

    def add_datasample(self, name: str, image: Any, *rest: Any, **more: Any) -> None:
        self.shown.append((name, image, *rest, more))


def show(hook: NaiveVisualizationHook, *batches: tuple[Any, Any]) -> Board:
    """What the hook shows of batches and what a model gave for them."""
    board = Board()
    runner: Any = SimpleNamespace(visualizer=board, model=nn.Linear(1, 1))
    for index, (batch, outputs) in enumerate(batches):
        hook.after_test_iter(runner, index, batch, outputs)
    return board


def test_each_image_is_shown_with_its_sample() -> None:
    """Channels last, named by the file, with the batch's number as step."""
    image = torch.arange(12, dtype=torch.uint8).reshape(3, 2, 2)
    batch = {"inputs": [image, image + 1], "data_samples": None}
    outputs = [{"img_path": "/data/cat.jpg"}, SimpleNamespace(label=1)]
    hook = NaiveVisualizationHook(interval=2, draw_gt=False)
    board = show(hook, (batch, outputs), (batch, outputs))
    (first, second) = board.shown
    assert first[0] == "cat.jpg"
    assert torch.equal(first[1], image.permute(1, 2, 0))
    assert first[2:] == (
        outputs[0],
        {"draw_gt": False, "draw_pred": True, "step": 2},
    )
    assert second[0] == "test_1"
    assert second[2] is outputs[1]


def test_one_output_of_a_whole_batch_is_taken_apart() -> None:
    """As a StepModel gives it."""
    images = torch.rand(2, 1, 4, 4)
    outputs = [{"outputs": torch.tensor([[1.0], [2.0]]), "targets": [5, 6], "n": 3}]
    board = show(NaiveVisualizationHook(), ((images, [5, 6]), outputs))
    samples = [one[2] for one in board.shown]
    assert samples[1] == {"outputs": torch.tensor([2.0]), "targets": 6, "n": 3}
    assert torch.equal(board.shown[0][1], images[0].permute(1, 2, 0))
    board = show(NaiveVisualizationHook(), (images, None))
    assert [one[2] for one in board.shown] == [None, None]


def test_normalized_images_are_stretched() -> None:
    """To what can be seen; a flat one is no division by zero."""
    images = torch.tensor([[[[-2.0, 2.0]]], [[[7.0, 7.0]]]], dtype=torch.bfloat16)
    board = show(NaiveVisualizationHook(), (images, None))
    assert board.shown[0][1].flatten().tolist() == [0, 1]
    assert board.shown[1][1].flatten().tolist() == [0, 0]


@pytest.mark.parametrize(
    ("batch", "found"),
    [
        (torch.zeros(2, 4), r"a tensor of shape \(4,\)"),
        ({"x": 1}, "a NoneType"),
        ((["a", "b"], [0, 1]), "a str"),
    ],
)
def test_other_data_is_refused(batch: Any, found: str) -> None:
    """With its shape."""
    with pytest.raises(DataError, match=f"inputs are {found}, but images are needed"):
        show(NaiveVisualizationHook(), (batch, None))


def test_the_graph_is_shown_before_training() -> None:
    """Without a batch, as MMEngine's."""
    board = Board()
    model = nn.Linear(1, 1)
    runner: Any = SimpleNamespace(visualizer=board, model=model)
    NaiveVisualizationHook().before_train(runner)
    assert board.graphs == [(model, None)]


class Counts(BaseMetric):
    """How many outputs there were."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += list(data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {"outputs": len(results)}


def test_a_runner_shows_its_test(tmp_path: Path) -> None:
    """The files of a test's images are there."""
    images = torch.rand(3, 1, 5, 4)
    labels = torch.zeros(3, dtype=torch.long)
    runner = Runner(
        {
            "type": "StepModel",
            "module": nn.Sequential(nn.Flatten(), nn.Linear(20, 2)),
            "loss": nn.functional.cross_entropy,
        },
        tmp_path,
        test_dataloader={
            "dataset": TensorDataset(images, labels),
            "batch_size": 2,
            "collate_fn": "default_collate",
        },
        test_cfg={},
        test_evaluator=Counts(),
        custom_hooks=[{"type": "NaiveVisualizationHook"}],
        visualizer=Visualizer(vis_backends=LocalVisBackend(tmp_path / "vis")),
        log_level="ERROR",
    )
    runner.test()
    files = sorted(path.name for path in (tmp_path / "vis/vis_image").iterdir())
    assert files == ["test_0_1.png", "test_0_2.png", "test_1_1.png"]
    pillow = pytest.importorskip("PIL.Image")
    with pillow.open(tmp_path / "vis/vis_image/test_0_2.png") as found:
        shown = np.asarray(found)[:, :, 0] / 255
    assert np.allclose(shown, images[2, 0].numpy(), atol=1 / 255)
