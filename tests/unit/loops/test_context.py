"""What hooks get as ``runner`` under a composed trainer."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch

from engine import Hook, RunState, TrainEngine
from engine.checkpoint import read
from engine.errors import ContextError, HookError
from engine.loops import LogProcessor

if TYPE_CHECKING:
    from pathlib import Path

    from engine.state import RunContext


def trainer(**settings: Any) -> TrainEngine:
    """One that does nothing."""
    return TrainEngine(lambda _, batch: batch, RunState(seed=5), **settings)


def test_it_knows_the_run(tmp_path: Path) -> None:
    """Bounds, seed, place, folder, parts."""
    engine, model = trainer(work_dir=tmp_path), torch.nn.Linear(1, 1)
    engine.track(model=model)
    engine.run([1, 2, 3], max_epochs=2)
    context = engine.context
    assert (context.max_epochs, context.max_iters) == (2, 6)
    assert (context.epoch, context.iter) == (2, 6)
    assert (context.seed, context.rank, context.world_size) == (5, 0, 1)
    assert context.work_dir == tmp_path
    assert context.model is model
    assert context.message_hub is engine.run_state.hub


def test_a_part_that_was_not_given_is_asked_for() -> None:
    """By the call that gives it."""
    with pytest.raises(ContextError, match=r"trainer\.track\(optimizer=\.\.\.\)"):
        _ = trainer().context.optim_wrapper


def test_what_only_a_runner_has_is_said_to_be_so() -> None:
    """With what there is, and how to add it; hasattr still works."""
    context = trainer().context
    with pytest.raises(ContextError, match=r"what only a Runner has.*log_processor"):
        _ = context.train_dataloader
    assert not hasattr(context, "cfg")


def test_facilities_are_found_by_name() -> None:
    """The user's own, and those that are made when first asked for."""
    context = trainer(facilities={"tracker": 3}).context
    assert context.tracker == 3
    assert isinstance(context.log_processor, LogProcessor)
    assert context.log_processor is context.log_processor
    assert context.visualizer is context.visualizer


def test_copying_does_not_ask_it_for_ever() -> None:
    """An empty instance has no facilities to look through."""
    assert copy.copy(trainer().context).seed == 5


def test_a_hook_of_another_run_cannot_owe() -> None:
    """It is not known here."""
    with pytest.raises(HookError, match="is not registered in this run"):
        trainer().context.owe(0, Hook())


def test_points_of_a_users_own_are_called_by_name(tmp_path: Path) -> None:
    """And checkpoints are written, from a hook."""
    told: list[Any] = []

    class Own(Hook):
        def before_lunch(self, runner: RunContext, *, dish: str) -> None:
            told.append(dish)

        def after_train_epoch(self, runner: RunContext) -> None:
            runner.call_hook("before_lunch", dish="soup")
            runner.save_checkpoint(tmp_path, "mine.pth")

    engine = trainer()
    engine.add_hook(Own())
    engine.run([1], max_epochs=1)
    assert told == ["soup"]
    assert read(tmp_path / "mine.pth")["meta"]["epoch"] == 1
    assert "after_train_epoch:" in engine.context.get_hooks_info()
