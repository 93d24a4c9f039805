"""Each kind of schedule: arguments, defaults, names."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from engine.errors import ConfigError, ScheduleError
from engine.optim import (
    CosineAnnealingLR,
    CosineAnnealingMomentum,
    CosineAnnealingParamScheduler,
    LinearLR,
    LinearMomentum,
    LinearParamScheduler,
    MultiStepLR,
    MultiStepMomentum,
    MultiStepParamScheduler,
    _ParamScheduler,
)
from engine.registry import PARAM_SCHEDULERS

INF = 1_000_000_000

COMMON = {"begin": 0, "end": INF, "last_step": -1, "by_epoch": True, "verbose": False}


def sgd(*lrs: float) -> torch.optim.SGD:
    """Build one with a group for each learning rate."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    return torch.optim.SGD(groups, momentum=0.9)


def trace(schedule: _ParamScheduler, steps: int) -> list[float]:
    """Collect the first group's value now and after each step."""
    values = [schedule.get_last_value()[0]]
    for _ in range(steps):
        schedule.step()
        values += schedule.get_last_value()[:1]
    return values


def test_linear_reaches_its_end_at_the_last_step() -> None:
    """Over [0, 5) the factor is 0.2 at step 0 and 1 at step 4, and stays."""
    schedule = LinearLR(sgd(1.0), start_factor=0.2, end=5)
    expected = [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]
    assert trace(schedule, 5) == pytest.approx(expected)


def test_linear_of_one_step_applies_its_start() -> None:
    """A line without length is a point."""
    assert trace(LinearLR(sgd(1.0), start_factor=0.5, end=1), 2) == [0.5, 0.5, 0.5]


def test_cosine_stops_one_step_short_of_its_lowest() -> None:
    """T_max is end - begin, and the step ``end`` is no longer taken."""
    schedule = CosineAnnealingLR(sgd(1.0), end=4)
    assert trace(schedule, 5) == pytest.approx(
        [1.0, 0.853553, 0.5, 0.146447, 0.146447, 0.146447], abs=1e-6
    )


def test_cosine_goes_down_to_a_share_of_each_groups_value() -> None:
    """``eta_min_ratio`` is of the group's own value; ``eta_min`` is one for all."""
    by_ratio = CosineAnnealingLR(sgd(1.0, 4.0), T_max=1, eta_min_ratio=0.25)
    by_ratio.step()
    assert by_ratio.get_last_value() == [0.25, 1.0]
    by_value = CosineAnnealingLR(sgd(1.0, 4.0), T_max=1, eta_min=0.25)
    by_value.step()
    assert by_value.get_last_value() == [0.25, 0.25]


def test_milestones_are_counted_from_begin() -> None:
    """With begin=2 the milestone 1 falls on the run's step 3."""
    schedule = MultiStepLR(sgd(1.0), milestones=(1, 3), gamma=0.5, begin=2)
    assert trace(schedule, 6) == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_warm_up_then_cosine() -> None:
    """Two schedules of one value: the cosine goes on from where the line ended."""
    target = sgd(1.0)
    chain = [
        LinearLR(target, start_factor=0.5, end=2),
        CosineAnnealingLR(target, begin=2, end=4),
    ]
    values = [target.param_groups[0]["lr"]]
    for _ in range(4):
        for schedule in chain:
            schedule.step()
        values.append(target.param_groups[0]["lr"])
    assert values == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.5])


@pytest.mark.parametrize(
    ("cls", "param_name"),
    [
        (LinearLR, "lr"),
        (LinearMomentum, "momentum"),
        (CosineAnnealingLR, "lr"),
        (CosineAnnealingMomentum, "momentum"),
    ],
)
def test_a_name_fixes_the_parameter(cls: Any, param_name: str) -> None:
    """``...LR`` and ``...Momentum`` take no ``param_name``."""
    assert cls(sgd(1.0), end=4).param_name == param_name


def test_momentum_by_milestones() -> None:
    """The momentum is multiplied, the learning rate is not."""
    target = sgd(1.0)
    MultiStepMomentum(target, milestones=[0], gamma=0.5)
    assert target.param_groups[0]["momentum"] == 0.45
    assert target.param_groups[0]["lr"] == 1.0


@pytest.mark.parametrize(
    ("cls", "defaults"),
    [
        (LinearParamScheduler, {"start_factor": 1 / 3, "end_factor": 1.0, **COMMON}),
        (
            CosineAnnealingParamScheduler,
            {"T_max": None, "eta_min": None, **COMMON, "eta_min_ratio": None},
        ),
        (
            MultiStepParamScheduler,
            {
                "milestones": inspect.Parameter.empty,
                "gamma": 0.1,
                "last_step": -1,
                "begin": 0,
                "end": INF,
                "by_epoch": True,
                "verbose": False,
            },
        ),
    ],
)
def test_arguments_stand_where_mmengine_has_them(
    cls: type, defaults: dict[str, Any]
) -> None:
    """Names, order and defaults, for those who pass them by position."""
    parameters = list(inspect.signature(cls).parameters.values())
    assert [p.name for p in parameters] == ["optimizer", "param_name", *defaults]
    assert [p.default for p in parameters[2:]] == list(defaults.values())


def test_a_fixed_name_shows_the_other_arguments() -> None:
    """``help`` and the registry see what ``*args, **kwargs`` would hide."""
    assert "param_name" not in inspect.signature(LinearLR).parameters
    assert list(inspect.signature(LinearLR).parameters) == [
        name
        for name in inspect.signature(LinearParamScheduler).parameters
        if name != "param_name"
    ]
    with pytest.raises(
        ConfigError, match=r"'strat_factor'.*Did you mean 'start_factor'"
    ):
        PARAM_SCHEDULERS.build(
            {"type": "LinearLR", "strat_factor": 0.1}, optimizer=sgd(1.0)
        )


def test_a_subclass_with_arguments_of_its_own_shows_those() -> None:
    """The signature is asked of each class anew."""

    class Gentle(LinearLR):
        def __init__(self, optimizer: torch.optim.Optimizer, *, length: int) -> None:
            super().__init__(optimizer, end=length)

    assert list(inspect.signature(Gentle).parameters) == ["optimizer", "length"]
    assert Gentle(sgd(1.0), length=4).end == 4


@pytest.mark.parametrize(
    ("start", "end"), [(0.0, 1.0), (-0.1, 1.0), (1.1, 1.0), (0.5, -0.1), (0.5, 1.1)]
)
def test_factors_out_of_range_are_refused(start: float, end: float) -> None:
    """A start of 0 could never be left: each value is a multiple of the last."""
    with pytest.raises(ScheduleError, match=rf"start_factor is {start}.*\(0, 1\]"):
        LinearLR(sgd(1.0), start_factor=start, end_factor=end, end=4)


@pytest.mark.parametrize("t_max", [0, -3])
def test_a_cosine_without_length_is_refused(t_max: int) -> None:
    """T_max is a divisor."""
    with pytest.raises(ScheduleError, match=f"T_max is {t_max}.*above 0"):
        CosineAnnealingLR(sgd(1.0), T_max=t_max)


def test_two_lowest_values_are_refused() -> None:
    """``eta_min`` and ``eta_min_ratio`` say the same thing twice."""
    with pytest.raises(ScheduleError, match=r"eta_min is 0\.1.*Give one"):
        CosineAnnealingLR(sgd(1.0), T_max=3, eta_min=0.1, eta_min_ratio=0.1)


def test_milestones_that_descend_are_refused() -> None:
    """The message has the order that would do."""
    with pytest.raises(ScheduleError, match=r"\[3, 1\].*Write \[1, 3\]"):
        MultiStepLR(sgd(1.0), milestones=[3, 1])


def test_lengths_in_epochs_become_iterations() -> None:
    """T_max and milestones are lengths too; without T_max it follows end - begin."""
    cosine = CosineAnnealingLR.build_iter_from_epoch(
        sgd(1.0), T_max=5, begin=1, epoch_length=10
    )
    assert (cosine.T_max, cosine.begin, cosine.end) == (50, 10, INF)
    whole = CosineAnnealingLR.build_iter_from_epoch(
        sgd(1.0), begin=1, end=4, epoch_length=10
    )
    assert whole.T_max == 30
    steps = MultiStepLR.build_iter_from_epoch(
        sgd(1.0), milestones=[2, 4], gamma=0.5, epoch_length=10
    )
    assert (steps.milestones, steps.gamma) == ([20, 40], 0.5)
    assert not steps.by_epoch


def test_every_name_is_registered() -> None:
    """A config finds each kind under its three names."""
    for kind in ("Linear", "CosineAnnealing", "MultiStep"):
        for suffix in ("ParamScheduler", "LR", "Momentum"):
            name = kind + suffix
            assert PARAM_SCHEDULERS.get(name).__name__ == name
