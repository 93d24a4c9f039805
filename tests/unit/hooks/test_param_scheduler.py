"""When schedules step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from engine.events import Events
from engine.hooks import ParamSchedulerHook
from engine.loops import EvalEngine, TrainEngine
from tests.toys import echo_trainer


class Schedule:
    """Counts its steps; goes by epoch, by iteration, or does not say."""

    def __init__(self, *, by_epoch: bool | None) -> None:
        self.steps = 0
        if by_epoch is not None:
            self.by_epoch = by_epoch

    def step(self) -> None:
        """Count."""
        self.steps += 1

    def state_dict(self) -> dict[str, int]:
        """The count."""
        return {"steps": self.steps}


def trainer_with(schedules: Any) -> TrainEngine:
    """A trainer that steps the schedules."""
    trainer = echo_trainer()
    trainer.track(param_schedulers=schedules)
    trainer.add_hook(ParamSchedulerHook())
    return trainer


@pytest.mark.parametrize(
    ("by_epoch", "steps"), [(True, 2), (False, 6), (None, 2)], ids=str
)
def test_a_schedule_steps_by_what_it_goes_by(
    *, by_epoch: bool | None, steps: int
) -> None:
    """Each epoch or each iteration; torch's own do not say and go by epoch."""
    schedule = Schedule(by_epoch=by_epoch)
    trainer_with(schedule).run([0, 0, 0], max_epochs=2)
    assert schedule.steps == steps


def test_all_schedules_of_all_optimizers_step() -> None:
    """A list, or a mapping of lists by optimizer."""
    listed = [Schedule(by_epoch=True), Schedule(by_epoch=False)]
    trainer_with(listed).run([0, 0, 0])
    assert [one.steps for one in listed] == [1, 3]
    named = {"g": [Schedule(by_epoch=True)], "d": [Schedule(by_epoch=False)]}
    trainer_with(named).run([0, 0, 0])
    assert [some[0].steps for some in named.values()] == [1, 3]


def test_a_run_without_schedules_is_fine() -> None:
    """The hook is a default one."""
    trainer = echo_trainer()
    trainer.add_hook(ParamSchedulerHook())
    trainer.run([0])
    assert trainer.run_state.iteration == 1


def test_the_rate_moves_after_the_logger_and_before_the_checkpoint() -> None:
    """Its priority is LOW, between BELOW_NORMAL and VERY_LOW, as in MMEngine."""
    weight = nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    optimizer.step()  # torch wants a step of the optimizer before the schedule's
    trainer = trainer_with(schedule)
    rates: list[float] = []
    for priority in ("BELOW_NORMAL", "VERY_LOW"):
        trainer.add_event_handler(
            Events.EPOCH_COMPLETED,
            lambda: rates.append(optimizer.param_groups[0]["lr"]),
            priority=priority,
        )
    trainer.run([0, 0], max_epochs=2)
    assert rates == [1.0, 0.5, 0.5, 0.25]


def test_a_validation_steps_no_schedule() -> None:
    """Only training does."""
    schedule = Schedule(by_epoch=False)
    trainer = trainer_with(schedule)
    trainer.validate_with(EvalEngine(lambda _, batch: batch), [0] * 5)
    trainer.run([0, 0])
    assert schedule.steps == 2
