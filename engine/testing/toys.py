"""A small model, small data and a recorder of events, for tests of a run's parts."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from engine.hooks import POINTS, Hook

if TYPE_CHECKING:
    from engine.state import RunContext

__all__ = ["EventRecorder", "ToyData", "toy_model"]

_FEATURES = 4


class ToyData(Dataset[tuple[Tensor, Tensor]]):
    """Points with 4 features and their class, 0 or 1.

    Args:
        samples: How many.
        augment: Whether python's, NumPy's and torch's generators move each point: what
            a resume must repeat.
    """

    def __init__(self, samples: int = 16, *, augment: bool = False) -> None:
        generator = torch.Generator().manual_seed(samples)
        self.points = torch.randn(samples, _FEATURES, generator=generator)
        self.labels = (self.points.sum(1) > 0).long()
        self.augment = augment

    def __len__(self) -> int:
        """How many points there are."""
        return len(self.points)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """A point of shape (4,) and its class."""
        point = self.points[index]
        if self.augment:
            moved = torch.randn(_FEATURES) * random.random() + np.random.rand()
            point = point + moved.to(point.dtype)
        return point, self.labels[index]


def toy_model() -> nn.Sequential:
    """A network from 4 features to 2 classes with what a resume could lose.

    Batch normalization (buffers) and dropout (random numbers). Its weights come from
    torch's global generator.
    """
    return nn.Sequential(
        nn.Linear(_FEATURES, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(8, 2),
    )


class EventRecorder(Hook):
    """Remembers which hook methods were called, and when.

    Recorded is what happens once in a run, however often that is stopped and resumed:
    not ``before_run``, ``before_train`` and their ends, saving, loading and interrupts.

    Attributes:
        events: ``(name, epochs finished, iterations finished)`` of each call so far;
            saved in checkpoints, so that a resumed run's are those of the whole run.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, int, int]] = []

    def names(self) -> list[str]:
        """The names alone, in order."""
        return [name for name, _, _ in self.events]

    def state_dict(self) -> dict[str, Any]:
        """The events so far."""
        return {"events": [list(event) for event in self.events]}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Take events over."""
        self.events = [
            (str(name), int(epoch), int(done))
            for name, epoch, done in state_dict["events"]
        ]


def _recorded(name: str) -> Any:
    def record(
        self: EventRecorder, runner: RunContext, *_: object, **__: object
    ) -> None:
        done = runner.state
        self.events.append((name, done.epoch, done.iteration))

    record.__name__ = name
    return record


# Those of a whole run: how often it was started, saved and stopped is not among them.
_OF_A_START = ("before_train", "after_train")
for _name, _point in POINTS.items():
    if (
        _point.mode != "run"
        and not _name.startswith("on_")
        and _name not in _OF_A_START
    ):
        setattr(EventRecorder, _name, _recorded(_name))
