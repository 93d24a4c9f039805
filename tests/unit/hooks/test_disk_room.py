"""A run tells once, as soon as it can, what its checkpoints need."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from attrs import define, field
from torch import nn

from engine.checkpoint import read, tree_bytes
from engine.hooks import CheckpointHook
from engine.loops import TrainEngine
from engine.state import RunState
from engine.units import size_text

if TYPE_CHECKING:
    from pathlib import Path

FLOATS = 1_000  # of the model; Adam has two more of each


@define
class Told:
    """A logger that keeps what it is told of the disk, and after which iteration."""

    lines: list[tuple[str, str]] = field(factory=list)
    facts: list[dict[str, Any]] = field(factory=list)

    def info(self, event: str, line: str = "", **facts: Any) -> None:
        """Keep it."""
        if event.startswith("disk"):
            self.lines.append((event, line))
            self.facts.append(facts)

    warning = info


def told(
    folder: Path,
    hook: CheckpointHook,
    batches: int = 3,
    *,
    wait: int = 0,
    **bounds: int,
) -> Told:
    """What a run says that steps its optimizer from the second iteration on."""
    model = nn.Linear(FLOATS, 1, bias=False)
    optimizer = torch.optim.Adam(model.parameters())

    def step(_: object, batch: int) -> None:
        if batch >= wait:
            model(torch.ones(FLOATS)).backward()
            optimizer.step()

    logger = Told()
    trainer = TrainEngine(
        step, RunState(seed=0), work_dir=folder, facilities={"logger": logger}
    )
    trainer.track(model=model, optimizer=optimizer)
    trainer.add_hook(hook)
    trainer.run([0, 1, 2], **(bounds or {"max_epochs": 2}))
    return logger


def test_the_size_is_that_of_the_tensors_that_are_saved(tmp_path: Path) -> None:
    """Adam's moments are in it, for it is looked at after the first step."""
    logger = told(tmp_path, CheckpointHook(interval=1), wait=1)
    ((event, line),) = logger.lines
    assert event == "disk_room"
    saved = read(tmp_path / "epoch_2.pth")
    expected = tree_bytes([saved["state_dict"], saved["optimizer"]])
    assert expected >= 3 * 4 * FLOATS
    assert logger.facts[0]["size_bytes"] == expected
    assert logger.facts[0]["files"] == 2
    told_sizes = f"2 x {size_text(expected)} = {size_text(2 * expected)}"
    assert line.startswith(f"{tmp_path}: {told_sizes} for checkpoints, ")


@pytest.mark.parametrize(
    ("arguments", "bounds", "files"),
    [
        ({"interval": 1, "max_keep_ckpts": 1}, {"max_epochs": 4}, 2),
        ({"interval": 1, "save_best": ["acc", "loss"]}, {"max_epochs": 4}, 7),
        ({"interval": 2, "by_epoch": False}, {"max_iters": 7}, 4),
        ({"interval": 2, "by_epoch": False}, {"max_epochs": 2}, 3),
        ({"interval_seconds": 1e9, "max_keep_ckpts": 3}, {"max_epochs": 1}, 4),
        ({}, {"max_epochs": 1}, 1),
    ],
)
def test_files_follow_from_the_hooks_arguments(
    tmp_path: Path, arguments: dict[str, Any], bounds: dict[str, int], files: int
) -> None:
    """Those that are kept, the best, and one before which nothing is deleted."""
    logger = told(tmp_path, CheckpointHook(**arguments), **bounds)
    assert [facts["files"] for facts in logger.facts] == [files]


def test_a_run_that_saves_nothing_says_nothing(tmp_path: Path) -> None:
    """There is nothing to make room for."""
    assert told(tmp_path, CheckpointHook(save_last=False)).lines == []


def test_a_disk_that_is_too_small_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do about it."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=20_000))
    ((event, line),) = told(tmp_path, CheckpointHook(interval=1)).lines
    assert event == "disk_is_short"
    assert line.endswith(
        "19.5 KiB are free. A save will fail before this run ends: make room there, "
        "lower max_keep_ckpts, or raise the interval."
    )


def test_an_object_store_is_told_of_without_what_is_free(tmp_path: Path) -> None:
    """It has no end that anybody knows."""
    hook = CheckpointHook(interval=1, out_dir="memory://disk-room")
    ((event, line),) = told(tmp_path, hook).lines
    assert event == "disk_room"
    assert line.endswith("for checkpoints")
