"""The list of events, and the drawing of the loop that fires them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ignite.engine
import pytest
import torch
from attrs import define, field

from engine.events import Events, event
from engine.hooks import Hook
from engine.hooks.points import POINTS
from engine.loops import EvalEngine, TrainEngine
from engine.state import DueKind, RunState
from tests.toys import quiet_logger

if TYPE_CHECKING:
    from pathlib import Path

    from engine.state import Due, RunContext

OURS = (
    "RUN_STARTED",
    "RUN_COMPLETED",
    "SAFE_POINT",
    "OPTIMIZER_STEP_STARTED",
    "OPTIMIZER_STEP_COMPLETED",
    "CHECKPOINT_SAVING",
    "CHECKPOINT_LOADED",
)


def test_all_of_ignites_events_are_among_ours() -> None:
    """By name and value, so that either member may be used."""
    for theirs in ignite.engine.Events:
        assert Events[theirs.name] == theirs
        assert Events[theirs.name].value == theirs.value


@pytest.mark.parametrize("name", OURS)
def test_ignite_lacks_the_events_that_are_ours(name: str) -> None:
    """None of them clashes with one of Ignite's."""
    assert name not in ignite.engine.Events.__members__
    assert name in Events.__members__


def test_the_trainers_edges_have_second_names() -> None:
    """TRAIN_STARTED and TRAIN_COMPLETED are STARTED and COMPLETED."""
    assert Events["TRAIN_STARTED"] is Events.STARTED
    assert Events["TRAIN_COMPLETED"] is Events.COMPLETED


def test_the_drawing_names_every_event_and_every_hook_method() -> None:
    """The pseudocode in events/event.py leaves nothing out of the training loop."""
    drawing = event.__doc__ or ""
    named = drawing.replace(":", " ").split()
    left_out = {"DATALOADER_STOP_ITERATION", "TERMINATE_SINGLE_EPOCH"}
    assert [
        one.name for one in Events if one.name not in named and one.name not in left_out
    ] == []
    assert [
        name for name in POINTS if name not in drawing and "_test" not in name
    ] == []


@define(eq=False)
class Diary(Hook):
    """Notes each of its methods that is called.

    Args:
        lines: Their names.
        owes: Whether it owes a save at the first step.
    """

    owes: bool = False
    lines: list[str] = field(factory=list)

    def pay(self, runner: RunContext, due: Due) -> None:
        self.lines.append("pay")
        runner.save_checkpoint(runner.work_dir, due.name)


def _noting(name: str) -> Any:
    def note(self: Diary, runner: RunContext, *args: Any) -> None:
        self.lines.append(name)
        if name == "after_train_iter" and runner.iter == 0 and self.owes:
            runner.owe(DueKind.SAVE, self, "first.pth")

    return note


for _name in POINTS:
    setattr(Diary, _name, _noting(_name))

VALIDATION = [
    "before_val",
    "before_val_epoch",
    "before_val_iter",
    "after_val_iter",
    "after_val_epoch",
    "after_val",
]
STEP = [
    "before_train_iter",
    "before_optimizer_step",
    "after_optimizer_step",
    "after_train_iter",
    "on_safe_point",
]


def test_hook_methods_are_called_in_the_order_of_the_drawing(tmp_path: Path) -> None:
    """One epoch of two iterations, a save after the first, a validation at the end."""
    weight = torch.nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def step(_: TrainEngine, batch: float) -> None:
        weight.grad = torch.tensor(batch)
        optimizer.step()

    diary = Diary(owes=True)
    trainer = TrainEngine(
        step,
        RunState(seed=0),
        work_dir=tmp_path,
        facilities={"logger": quiet_logger()},
    )
    trainer.track(optimizer=optimizer)
    trainer.validate_with(EvalEngine(lambda _, batch: batch), [0])
    trainer.add_hook(diary)
    trainer.run([1.0, 2.0], max_epochs=1)
    assert diary.lines == [
        "before_run",
        "before_train",
        "before_train_epoch",
        *STEP,
        "pay",
        "before_save_checkpoint",
        *STEP,
        "after_train_epoch",
        "on_safe_point",
        *VALIDATION,
        "after_train",
        "on_safe_point",
        "after_run",
    ]


def test_an_evaluation_alone_calls_its_own_methods_and_the_runs() -> None:
    """Once each, in order; nothing of training's."""
    diary = Diary()
    validator = EvalEngine(lambda _, batch: batch, RunState(seed=0))
    validator.add_hook(diary)
    validator.run([0])
    assert diary.lines == ["before_run", *VALIDATION, "after_run"]


def test_a_test_calls_the_methods_that_are_named_for_it() -> None:
    """The same points as a validation's."""
    diary = Diary()
    tester = EvalEngine(lambda _, batch: batch, RunState(seed=0), mode="test")
    tester.add_hook(diary)
    tester.run([0])
    points = [name.replace("_val", "_test") for name in VALIDATION]
    assert diary.lines == ["before_run", *points, "after_run"]


def test_an_error_and_an_interrupt_have_their_methods() -> None:
    """``on_exception`` gets the error, ``on_interrupt`` is called at the safe point."""
    diary = Diary()
    trainer = TrainEngine(
        lambda _, batch: 1 / batch,
        RunState(seed=0),
        facilities={"logger": quiet_logger()},
    )
    trainer.add_hook(diary)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=1), trainer.interrupt)
    trainer.run([1.0, 0.0])
    assert diary.lines[-2:] == ["on_safe_point", "on_interrupt"]
    with pytest.raises(ZeroDivisionError):
        trainer.run()
    assert diary.lines[-2:] == ["before_train_iter", "on_exception"]
