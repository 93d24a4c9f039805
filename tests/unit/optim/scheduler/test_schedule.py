"""The class that applies curves: groups, limits, state, errors."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from structlog.testing import capture_logs

from engine.errors import ScheduleError
from engine.optim import (
    LinearLR,
    LinearParamScheduler,
    MultiStepLR,
    OneCycleLR,
    OptimWrapper,
    ReduceOnPlateauLR,
)
from engine.optim.scheduler import _ParamScheduler

if TYPE_CHECKING:
    from collections.abc import Callable


def optimizer(*lrs: float, kind: str = "SGD", **kwargs: Any) -> torch.optim.Optimizer:
    """Build one with a group for each learning rate."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    made = getattr(torch.optim, kind)(groups, **kwargs)
    assert isinstance(made, torch.optim.Optimizer)
    return made


def lrs(optimizer: torch.optim.Optimizer) -> list[float]:
    """Each group's present learning rate."""
    return [group["lr"] for group in optimizer.param_groups]


class Halving(_ParamScheduler):
    """A schedule as MMEngine's users write one."""

    def _get_value(self) -> list[float]:
        return [group[self.param_name] / 2 for group in self.optimizer.param_groups]


def test_it_acts_from_begin_up_to_end() -> None:
    """Values change at the steps 2, 3 and 4 of begin=2, end=5, and only there."""
    target = optimizer(16.0)
    schedule = Halving(target, "lr", begin=2, end=5)
    trace = [lrs(target)[0]]
    for _ in range(6):
        schedule.step()
        trace += lrs(target)
    assert trace == [16.0, 16.0, 8.0, 4.0, 2.0, 2.0, 2.0]
    assert schedule.last_step == 2


def test_making_it_takes_the_first_step() -> None:
    """With begin=0 the first iteration already has the curve's value."""
    target = optimizer(16.0, 4.0)
    schedule = Halving(target, "lr")
    assert lrs(target) == [8.0, 2.0]
    assert schedule.get_last_value() == [8.0, 2.0]
    assert schedule.last_step == 0


def test_the_last_value_is_what_holds_outside_its_steps_too() -> None:
    """Before ``begin`` it reports what the others left."""
    target = optimizer(16.0)
    late = Halving(target, "lr", begin=5)
    target.param_groups[0]["lr"] = 3.0
    late.step()
    assert late.get_last_value() == [3.0]


def test_the_initial_value_is_kept_once() -> None:
    """A second schedule starts from the same initial value, not from the first's."""
    target = optimizer(16.0)
    Halving(target, "lr")
    second = Halving(target, "lr", begin=3)
    assert target.param_groups[0]["initial_lr"] == 16.0
    assert second.base_values == [16.0]


def test_it_takes_a_wrapper_for_its_optimizer() -> None:
    """An OptimWrapper's groups are its optimizer's."""
    target = optimizer(16.0)
    Halving(OptimWrapper(target), "lr")
    assert lrs(target) == [8.0]


def test_any_number_in_a_group_can_be_scheduled() -> None:
    """Weight decay too; the others are left alone."""
    target = optimizer(16.0, weight_decay=0.5)
    Halving(target, "weight_decay")
    assert target.param_groups[0]["weight_decay"] == 0.25
    assert lrs(target) == [16.0]


def test_momentum_is_adams_first_beta() -> None:
    """The second beta stays; the value is also where a custom schedule reads it."""
    target = optimizer(1.0, kind="Adam", betas=(0.8, 0.99))
    schedule = Halving(target, "momentum")
    schedule.step()
    assert target.param_groups[0]["betas"] == (0.2, 0.99)
    assert target.param_groups[0]["initial_momentum"] == 0.8
    assert schedule.get_last_value() == [0.2]


def test_the_betas_win_over_their_copy() -> None:
    """A loaded state may lack the copy, or bring another."""
    target = optimizer(1.0, kind="Adam", betas=(0.8, 0.99))
    schedule = Halving(target, "momentum")
    del target.param_groups[0]["momentum"]
    schedule.step()
    target.param_groups[0]["momentum"] = 7.0
    schedule.step()
    assert target.param_groups[0]["betas"] == (0.1, 0.99)


def test_last_step_goes_on_without_a_state() -> None:
    """The curve goes on at the step after; the initial value is the group's."""
    target = optimizer(16.0)
    target.param_groups[0]["initial_lr"] = 32.0
    schedule = MultiStepLR(target, milestones=[3], gamma=0.5, last_step=2)
    assert schedule.last_step == 3
    assert lrs(target) == [8.0]
    assert schedule.base_values == [32.0]
    assert target.param_groups[0]["initial_lr"] == 32.0


def test_state_is_plain_and_its_own() -> None:
    """Numbers, strings and lists; later steps do not reach into it."""
    schedule = LinearLR(optimizer(1.0), end=9)
    state = schedule.state_dict()
    kept = deepcopy(state)
    schedule.step()
    assert state == kept
    assert "optimizer" not in state
    assert state["version"] == 1
    plain = (int, float, str, bool, list)
    assert all(isinstance(value, plain) for value in state.values())


def test_a_saved_curve_is_not_shared_with_the_state() -> None:
    """Changing the mapping changes neither who gave it nor who loaded it."""
    saved = MultiStepLR(optimizer(1.0), milestones=[3])
    state = saved.state_dict()
    schedule = MultiStepLR(optimizer(1.0), milestones=[7])
    schedule.load_state_dict(state)
    state["milestones"].append(9)
    assert saved.milestones == schedule.milestones == [3]


def test_loading_leaves_the_optimizer_alone() -> None:
    """Its values come with its own state."""
    saved = LinearLR(optimizer(1.0), start_factor=0.5, end=3)
    saved.step()
    target = optimizer(1.0)
    schedule = LinearLR(target, start_factor=0.25, end=9)
    schedule.load_state_dict(saved.state_dict())
    assert lrs(target) == [0.25]
    assert schedule.last_step == 1
    assert schedule.end == 3


def test_mmengines_state_is_read() -> None:
    """It counts milestones, has no version, and one group more than the optimizer."""
    state = {
        "milestones": {5: 2, 1: 1},
        "gamma": 0.1,
        "param_name": "lr",
        "begin": 2,
        "end": 7,
        "by_epoch": True,
        "base_values": [0.1, 0.2, 0.1],
        "last_step": 1,
        "_global_step": 3,
        "verbose": False,
        "_last_value": [0.01, 0.02, 0.01],
    }
    schedule = MultiStepLR(optimizer(0.1, 0.2), milestones=[9])
    schedule.load_state_dict(state)
    assert schedule.milestones == [1, 5, 5]
    assert schedule.base_values == [0.1, 0.2]
    assert schedule.get_last_value() == [0.01, 0.02]
    assert schedule.last_step == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda s: s.update(version=2), "format 2.*reads 1"),
        (lambda s: s.pop("gamma"), r"lacks \['gamma'\]"),
        (lambda s: s.update(beta=1), r"has \['beta'\] beside"),
        (lambda s: s.update(param_name="momentum"), "param_name 'momentum'.*'lr'"),
        (lambda s: s.update(base_values=[1.0, 1.0]), "parameter groups 2.*1"),
    ],
)
def test_a_state_of_something_else_is_refused(
    change: Callable[[dict[str, Any]], object], text: str
) -> None:
    """The message says what does not fit, and the schedule stays as it was."""
    schedule = MultiStepLR(optimizer(1.0), milestones=[3])
    before = schedule.state_dict()
    state = schedule.state_dict()
    change(state)
    with pytest.raises(ScheduleError, match=text):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before


def test_verbose_logs_each_value_set() -> None:
    """One event per group and step inside [begin, end); none without it."""
    with capture_logs() as logs:
        loud = Halving(optimizer(4.0, 8.0), "lr", end=1, verbose=True)
        loud.step()
        Halving(optimizer(4.0), "lr")
    assert logs == [
        {
            "event": "schedule_value",
            "log_level": "info",
            "param": "lr",
            "group": group,
            "value": value,
        }
        for group, value in enumerate([2.0, 4.0])
    ]


@pytest.mark.parametrize(
    ("begin", "end"), [(4, 4), (5, 4), (-1, 4), (1_000_000_000, 1_000_000_000)]
)
def test_limits_that_hold_no_step_are_refused(begin: int, end: int) -> None:
    """``begin`` is at least 0 and below ``end``."""
    with pytest.raises(ScheduleError, match=f"begin is {begin} and end {end}"):
        Halving(optimizer(1.0), "lr", begin=begin, end=end)


def test_what_is_no_optimizer_is_refused() -> None:
    """A schedule is made after its optimizer."""
    spec: Any = {"type": "SGD"}
    with pytest.raises(ScheduleError, match="optimizer is a dict, neither"):
        Halving(spec, "lr")
    with pytest.raises(ScheduleError, match="OneCycleLR: optimizer is a dict, neither"):
        OneCycleLR(spec, eta_max=0.1)
    with pytest.raises(ScheduleError, match=r"LR: optimizer is .*None.*, neither"):
        ReduceOnPlateauLR(None)  # type: ignore[arg-type] # what is tested


def test_an_unknown_parameter_is_refused() -> None:
    """The message names the group, the optimizer and the nearest key."""
    with pytest.raises(
        ScheduleError, match=r"param_groups\[0\] of SGD has no 'lrr'.*mean 'lr'"
    ):
        Halving(OptimWrapper(optimizer(1.0)), "lrr")


def test_momentum_of_an_optimizer_without_any_is_refused() -> None:
    """Adagrad has neither momentum nor betas."""
    with pytest.raises(ScheduleError, match="Adagrad has no 'momentum'"):
        Halving(optimizer(1.0, kind="Adagrad"), "momentum")


def test_a_learning_rate_that_is_a_tensor_is_refused() -> None:
    """Replacing the tensor by numbers would cut a compiled optimizer off from it."""
    target = optimizer(1.0)
    target.param_groups[0]["lr"] = torch.tensor(1.0)
    with pytest.raises(ScheduleError, match=r"\['lr'\] is a Tensor.*float"):
        Halving(target, "lr")


def test_going_on_needs_the_initial_value() -> None:
    """With last_step given, the present value is not the initial one."""
    with pytest.raises(ScheduleError, match=r"last_step is 2.*no 'initial_lr'"):
        Halving(optimizer(1.0), "lr", last_step=2)


def test_a_group_added_later_is_an_error() -> None:
    """It has no initial value; silently leaving it out would train it wrongly."""
    target = optimizer(1.0)
    schedule = Halving(target, "lr")
    target.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))]})
    with pytest.raises(ScheduleError, match="has 2 parameter groups, but had 1"):
        schedule.step()


def test_epochs_become_iterations() -> None:
    """``begin`` and ``end`` are multiplied, and steps are iterations from then on."""
    schedule = LinearParamScheduler.build_iter_from_epoch(
        optimizer(1.0), "lr", begin=1, end=3, epoch_length=10
    )
    assert (schedule.begin, schedule.end, schedule.by_epoch) == (10, 30, False)


def test_no_end_stays_no_end() -> None:
    """The default ``end`` is not a number of epochs."""
    schedule = Halving.build_iter_from_epoch(optimizer(1.0), "lr", epoch_length=10)
    assert schedule.end == 1_000_000_000


@pytest.mark.parametrize("length", [None, 0, -1, 2.5])
def test_epochs_without_a_length_are_refused(length: Any) -> None:
    """They cannot be turned into iterations."""
    with pytest.raises(ScheduleError, match=f"epoch_length is {length}"):
        Halving.build_iter_from_epoch(optimizer(1.0), "lr", epoch_length=length)


def test_iterations_are_not_converted_again() -> None:
    """``by_epoch=False`` says that the numbers are iterations already."""
    with pytest.raises(ScheduleError, match="by_epoch is False"):
        Halving.build_iter_from_epoch(
            optimizer(1.0), "lr", by_epoch=False, epoch_length=10
        )
