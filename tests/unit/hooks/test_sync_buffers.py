"""Buffers are averaged over ranks at the right times."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from engine.hooks import SyncBuffersHook

if TYPE_CHECKING:
    from pathlib import Path


def run_at(iteration: int, model: nn.Module) -> Any:
    """A run that has done so many iterations."""
    progress = SimpleNamespace(iteration=iteration)
    return SimpleNamespace(model=model, state=SimpleNamespace(progress=progress))


def norm(rank: int) -> nn.BatchNorm1d:
    """Batch normalization as this rank counted it."""
    model = nn.BatchNorm1d(2)
    assert model.running_mean is not None
    assert model.num_batches_tracked is not None
    model.running_mean.fill_(10.0 * rank)
    model.num_batches_tracked.fill_(7)
    return model


def one_rank(rank: int, folder: str) -> None:
    """Average twice, with another iteration in between or not."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    try:
        hook, model = SyncBuffersHook(), norm(rank)
        assert model.running_mean is not None
        hook.after_train_epoch(run_at(5, model))
        assert model.running_mean.tolist() == [5.0, 5.0]
        assert model.num_batches_tracked == 7
        model.running_mean.fill_(4.0 * rank)
        hook.before_val_epoch(run_at(5, model))  # just averaged: left alone
        assert model.running_mean.tolist() == [4.0 * rank] * 2
        hook.before_val_epoch(run_at(6, model))
        assert model.running_mean.tolist() == [2.0, 2.0]
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.distributed
def test_two_ranks_have_equal_buffers(tmp_path: Path) -> None:
    """Their mean; whole numbers stay; not twice in one place."""
    spawn: Any = torch.multiprocessing.start_processes  # type: ignore[attr-defined]
    spawn(one_rank, args=(str(tmp_path),), nprocs=2, start_method="spawn")


def test_one_process_keeps_its_buffers() -> None:
    """To the bit."""
    model = norm(3)
    SyncBuffersHook().after_train_epoch(run_at(1, model))
    assert model.running_mean is not None
    assert model.running_mean.tolist() == [30.0, 30.0]
