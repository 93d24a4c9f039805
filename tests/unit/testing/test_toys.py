"""The toys that users' tests are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.utils.data import DataLoader

from engine import Runner, StepModel
from engine.state import seed_everything
from engine.testing import EventRecorder, ToyData, assert_same_run, toy_model

if TYPE_CHECKING:
    from pathlib import Path


def run(folder: Path, **changes: object) -> EventRecorder:
    """Train two epochs; what was recorded."""
    seed_everything(1)
    recorder = EventRecorder()
    loader = DataLoader(ToyData(augment=True), batch_size=8, shuffle=True)
    Runner(
        StepModel(toy_model(), loss=nn.functional.cross_entropy),
        folder,
        train_dataloader=loader,
        train_cfg={"max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "Adam", "lr": 0.01}},
        custom_hooks=[recorder],
        randomness={"seed": 0},
        log_level="ERROR",
        **changes,  # type: ignore[arg-type]  # load_from and resume
    ).train()
    return recorder


def test_a_resumed_toy_run_is_the_unbroken_one(tmp_path: Path) -> None:
    """Its checkpoints, and all that was recorded."""
    whole = run(tmp_path / "whole")
    again = run(
        tmp_path / "again", load_from=tmp_path / "whole" / "epoch_1.pth", resume=True
    )
    assert_same_run(
        tmp_path / "whole" / "epoch_2.pth", tmp_path / "again" / "epoch_2.pth"
    )
    assert again.events == whole.events


def test_events_are_recorded_with_their_place(tmp_path: Path) -> None:
    """Name, epochs and iterations finished, in order."""
    found = run(tmp_path).events
    assert found[:3] == [
        ("before_train_epoch", 0, 0),
        ("before_train_iter", 0, 0),
        ("before_optimizer_step", 0, 0),
    ]
    assert ("after_train_iter", 0, 1) in found
    assert ("after_optimizer_step", 1, 2) in found
    assert found[-1] == ("after_train_epoch", 2, 4)


def test_toy_data_is_the_same_each_time() -> None:
    """Unless its samples are augmented."""
    one, other = ToyData(5), ToyData(5)
    assert torch.equal(one.points, other.points)
    assert len(one) == 5
    seed_everything(0)
    moved, label = ToyData(5, augment=True)[2]
    assert not torch.equal(moved, one[2][0])
    assert moved.dtype == torch.float32
    assert torch.equal(label, one[2][1])
