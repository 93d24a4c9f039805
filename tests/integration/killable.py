"""A config that is killed: digits with all that must come back, and a tell-tale hook.

``WORKERS`` in the environment: loader processes. ``TOLD``: a file that gets the bits of
each loss. ``PIPE``: descriptor of a pipe that gets the same, padded to a page, so that
the run is at most a page ahead of who reads it.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import Dataset

from engine import BaseMetric, Hook

if TYPE_CHECKING:
    from engine.state import RunContext

_PAGE = 4096


class Digits(Dataset[tuple[Tensor, Tensor]]):
    """Some of the images, moved and made noisy by python, NumPy and torch.

    Args:
        start: The first of them.
        stop: The one after the last.
    """

    def __init__(self, start: int, stop: int) -> None:
        images, labels = load_digits(return_X_y=True)
        self.images = torch.tensor(images[start:stop], dtype=torch.float32) / 16
        self.labels = torch.tensor(labels[start:stop])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.images[index].roll(random.randint(-1, 1))
        image = image + 0.1 * float(np.random.rand()) * torch.rand(64)
        return image, self.labels[index]


class Hits(BaseMetric):
    """Share of images that were recognized."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        for sample in data_samples:
            hits = sample["outputs"].argmax(1) == sample["targets"]
            self.results += hits.tolist()

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {"accuracy": sum(results) / len(results)}


class Tell(Hook):
    """Writes iteration and loss, to the bit, as soon as they are known."""

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        line = f"{runner.iter} {outputs['loss'].item().hex()}"
        with Path(os.environ["TOLD"]).open("a") as file:
            file.write(f"{line}\n")
        if "PIPE" in os.environ:
            page = f"{line:<{_PAGE - 1}}\n".encode()
            assert os.write(int(os.environ["PIPE"]), page) == _PAGE


class Net(nn.Sequential):
    """A small network with batch normalization and dropout."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(64, 32),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(32, 10),
        )


model = {
    "type": "StepModel",
    # A spec: made when the run has been seeded, so its weights are the seed's.
    "module": {"type": Net},
    "loss": nn.functional.cross_entropy,
}
train_dataloader = {
    "dataset": Digits(0, 110),  # 7 batches, the last one smaller
    "batch_size": 16,
    "shuffle": True,
    "num_workers": int(os.environ.get("WORKERS", "0")),
    "collate_fn": "default_collate",
}
val_dataloader = {
    "dataset": Digits(200, 300),
    "batch_size": 50,
    "collate_fn": "default_collate",
}
train_cfg = {"max_epochs": 4}
val_cfg: dict[str, Any] = {}
optim_wrapper = {
    "optimizer": {"type": "AdamW", "lr": 0.01},
    "accumulative_counts": 2,
    "clip_grad": {"max_norm": 1.0},
}
param_scheduler = {"type": "CosineAnnealingLR", "T_max": 28, "by_epoch": False}
val_evaluator = Hits()
default_hooks = {
    "checkpoint": {"by_epoch": False, "interval": 3, "max_keep_ckpts": 3},
    "logger": {"interval": 5},
}
custom_hooks = [Tell()]
randomness = {"seed": 11}
