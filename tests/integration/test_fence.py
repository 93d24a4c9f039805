"""Who watches, validates or saves does not change training."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from engine import CheckpointHook, Hook
from engine.visualization import LocalVisBackend, Visualizer
from tests.runs import Recorder, RunPlan, bits, make_runner, recorder

if TYPE_CHECKING:
    from pathlib import Path

    from engine import Runner
    from engine.state import RunContext


def draw() -> None:
    """Move all three generators."""
    random.random()
    np.random.rand()
    torch.rand(())


class NoisyBackend(LocalVisBackend):
    """Draws whenever it is given something."""

    draws_nothing = False

    def add_scalars(self, *args: Any, **kwargs: Any) -> None:
        draw()
        super().add_scalars(*args, **kwargs)


class NoisySaver(Hook):
    """Draws whenever a checkpoint is saved."""

    def before_save_checkpoint(
        self, runner: RunContext, checkpoint: dict[str, Any]
    ) -> None:
        draw()


class NoisyValidation(Hook):
    """Draws, and asks for gradients, while validating."""

    def after_val_iter(self, runner: RunContext, *args: Any, **more: Any) -> None:
        draw()
        with torch.enable_grad():
            weight = next(runner.model.parameters())
            assert not runner.model.training
            assert (weight * 2).sum().requires_grad


def trained(runner: Runner) -> Any:
    """What training came to: weights, and each iteration's losses and samples."""
    runner.train()
    events = [one for one in recorder(runner).events if one[0] == "iteration"]
    assert runner.model.training
    return bits({"model": runner.model.state_dict(), "events": events})


@pytest.mark.parametrize("val_interval", [None, 1, 2])
@pytest.mark.parametrize("noisy", [False, True])
def test_training_does_not_depend_on_who_watches(
    val_interval: int | None, noisy: bool, tmp_path: Path
) -> None:
    """Bit-equal with any interval of validation, any backend, any saving."""
    quiet = make_runner(
        RunPlan(val_interval=None), tmp_path / "a", custom_hooks=[Recorder()]
    )
    more: dict[str, Any] = {"custom_hooks": [Recorder()]}
    if noisy:
        backend = NoisyBackend(tmp_path / "vis")
        more["visualizer"] = Visualizer(vis_backends=backend)
        more["custom_hooks"] += [
            CheckpointHook(interval=1, by_epoch=False),
            NoisySaver(),
            NoisyValidation(),
        ]
    plan = RunPlan(val_interval=val_interval, watched=True)
    watched = make_runner(plan, tmp_path / "b", **more)
    assert trained(watched) == trained(quiet)
