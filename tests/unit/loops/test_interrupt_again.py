"""What is owed when a run is interrupted may ask for more when it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from engine.events import Events
from engine.loops import EpochBasedTrainLoop, EvalEngine
from engine.state import Phase
from tests.runs import RunPlan, bits, make_runner, story
from tests.toys import echo_trainer

if TYPE_CHECKING:
    from pathlib import Path

    from engine.loops import TrainEngine


def interrupted(asks: Any, *, by_epoch: bool) -> TrainEngine:
    """A trainer that stands before a validation, in which ``asks(trainer)`` is called.

    It has 2 epochs of 4 iterations, or 8 iterations, and a validation after 4.
    """
    trainer = echo_trainer()
    validator = EvalEngine(lambda _, batch: batch)
    interval = 1 if by_epoch else 4
    trainer.validate_with(validator, [1.0], by_epoch=by_epoch, interval=interval)
    trainer.on(Events.ITERATION_COMPLETED(once=4))(lambda trainer: trainer.interrupt())
    validator.on(Events.EPOCH_COMPLETED)(lambda: asks(trainer))
    trainer.run(
        [float(one) for one in range(4)],
        **({"max_epochs": 2} if by_epoch else {"max_iters": 8}),
    )
    assert place(trainer) == (Phase.INTERRUPTED, 4)
    return trainer


def place(trainer: TrainEngine) -> tuple[Phase, int]:
    """Phase, and iterations finished."""
    return trainer.run_state.phase, trainer.run_state.iteration


@pytest.mark.parametrize("by_epoch", [True, False], ids=["epochs", "iterations"])
def test_an_interrupt_is_heeded_before_the_next_batch(by_epoch: bool) -> None:
    """At the safe point of the validation, once; then the run goes on to its end."""
    asked: list[int] = []

    def ask_once(trainer: TrainEngine) -> None:
        if not asked:
            asked.append(trainer.run_state.iteration)
            trainer.interrupt()

    trainer = interrupted(ask_once, by_epoch=by_epoch)
    begun: list[int] = []
    trainer.on(Events.EPOCH_STARTED)(lambda: begun.append(1))
    trainer.run()
    assert place(trainer) == (Phase.INTERRUPTED, 4)
    assert begun == []
    trainer.run()
    assert place(trainer) == (Phase.FINISHED, 8)
    assert len(begun) == int(by_epoch)


@pytest.mark.parametrize("by_epoch", [True, False], ids=["epochs", "iterations"])
@pytest.mark.parametrize("how", ["stop", "terminate"])
def test_an_end_is_heeded_before_the_next_batch(how: str, by_epoch: bool) -> None:
    """As in a run that was not interrupted."""
    trainer = interrupted(lambda trainer: getattr(trainer, how)(), by_epoch=by_epoch)
    trainer.run()
    assert place(trainer) == (Phase.FINISHED, 4)


def test_a_cut_pass_of_a_loop_of_ones_own_is_left_by_a_resume_too(
    tmp_path: Path,
) -> None:
    """Saved between the last batch and the epoch's end, it goes on with the next."""
    plan = evolve(RunPlan(), size=12, val_interval=None)
    whole = driven(plan, tmp_path / "whole")
    saved = tmp_path / "whole" / "iter_2.pth"  # the second of two in each epoch
    rest = driven(plan, tmp_path / "rest", load_from=saved, resume=True)
    assert bits(story(rest)) == bits(story(whole))


def driven(plan: RunPlan, work_dir: Path, **changes: Any) -> Any:
    """Train by a loop that drives its engine, two batches of three an epoch."""

    class Own(EpochBasedTrainLoop):
        def run_epoch(self) -> None:
            super().run_epoch()

    runner = make_runner(
        plan, work_dir, train_cfg={"type": Own, "max_epochs": 2}, **changes
    )
    runner.batch_limit = 2
    runner.train()
    return runner
