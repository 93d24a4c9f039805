"""Samplers are told which epoch begins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine.hooks import DistSamplerSeedHook
from tests.toys import echo_trainer


class Sampler:
    """Notes the epochs that it is told of."""

    def __init__(self, sampler: Any = None) -> None:
        self.epochs: list[int] = []
        self.sampler = sampler

    def set_epoch(self, epoch: int) -> None:
        """Note it."""
        self.epochs.append(epoch)


def run_with(loader: Any) -> None:
    """Train two epochs with the hook, the loader being the run's."""
    trainer = echo_trainer(train_dataloader=loader)
    trainer.add_hook(DistSamplerSeedHook())
    trainer.run([0, 0], max_epochs=2)


@pytest.mark.parametrize("name", ["sampler", "batch_sampler"])
def test_a_loaders_samplers_are_told_each_epoch(name: str) -> None:
    """Before the epoch, its index."""
    sampler = Sampler()
    run_with(SimpleNamespace(**{name: sampler}))
    assert sampler.epochs == [0, 1]


def test_the_sampler_inside_a_batch_sampler_is_told() -> None:
    """As of a loader with a batch sampler around a distributed one."""
    inner = Sampler()
    outer = SimpleNamespace(sampler=inner)
    run_with(SimpleNamespace(sampler=object(), batch_sampler=outer))
    assert inner.epochs == [0, 1]


@pytest.mark.parametrize("loader", [[1, 2], None, SimpleNamespace(sampler=object())])
def test_data_without_such_samplers_is_fine(loader: Any) -> None:
    """The hook is a default one."""
    run_with(loader)


def test_a_run_without_a_loader_is_fine() -> None:
    """A composed run has none unless it was given."""
    trainer = echo_trainer()
    trainer.add_hook(DistSamplerSeedHook())
    trainer.run([0])
    assert trainer.run_state.iteration == 1
