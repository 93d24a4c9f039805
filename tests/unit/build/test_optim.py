"""Optimizer wrappers and schedules from their specs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from engine.build import build_optim_wrapper, build_param_schedulers
from engine.errors import ConfigError, ScheduleError
from engine.optim import OptimWrapper, OptimWrapperDict, TorchSchedule

MODEL = nn.Linear(1, 1)


def wrapper(lr: float = 1.0) -> OptimWrapper:
    """One around SGD."""
    return OptimWrapper(torch.optim.SGD(MODEL.parameters(), lr=lr))


def test_finished_ones_pass_through() -> None:
    """A bare optimizer is wrapped."""
    finished = wrapper()
    assert build_optim_wrapper(MODEL, finished) is finished
    assert build_optim_wrapper(MODEL, finished.optimizer).optimizer is (
        finished.optimizer
    )


def test_a_spec_is_built_around_the_models_parameters() -> None:
    """It stays as it is."""
    spec = {"optimizer": {"type": "AdamW", "lr": 0.5}, "accumulative_counts": 2}
    built = build_optim_wrapper(MODEL, spec)
    assert isinstance(built.optimizer, torch.optim.AdamW)
    assert built.optimizer.param_groups[0]["params"] == list(MODEL.parameters())
    assert built.get_lr() == {"lr": [0.5]}
    assert spec["optimizer"] == {"type": "AdamW", "lr": 0.5}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (3, "expected an OptimWrapper.*found an int"),
        ({"clip_grad": None}, "needs 'optimizer', found"),
        ({"type": "OptimWrapper"}, "needs 'optimizer', the spec of one, found"),
        (
            {"one": {"optimizer": {"type": "SGD"}}},
            "needs 'optimizer', found .*'one' is a dict: give .* 'constructor'",
        ),
    ],
)
def test_bad_optimizers(spec: Any, said: str) -> None:
    """Each is named."""
    with pytest.raises(ConfigError, match=f"optim_wrapper: {said}"):
        build_optim_wrapper(MODEL, spec)


def test_an_end_is_the_runs_unless_given() -> None:
    """In epochs or iterations, as the schedule counts."""
    built = build_param_schedulers(
        [
            {"type": "LinearLR", "start_factor": 0.5},
            {"type": "LinearLR", "start_factor": 0.5, "by_epoch": False},
            {"type": "LinearLR", "start_factor": 0.5, "end": 2},
        ],
        wrapper(),
        max_epochs=4,
        max_iters=40,
    )
    assert [one.end for one in built] == [4, 40, 2]


def test_epochs_are_converted_to_iterations() -> None:
    """A cosine of 4 epochs of 10 iterations is one of 40 iterations."""
    (built,) = build_param_schedulers(
        {"type": "CosineAnnealingLR", "T_max": 4, "convert_to_iter_based": True},
        wrapper(),
        max_epochs=4,
        max_iters=40,
    )
    assert not built.by_epoch
    assert built.end == 40


def test_an_epoch_of_a_run_bounded_by_iterations_is_a_pass() -> None:
    """As in MMEngine, though the loop has one long epoch."""
    (schedule,) = build_param_schedulers(
        {"type": "CosineAnnealingLR", "T_max": 2, "convert_to_iter_based": True},
        wrapper(),
        max_epochs=1,
        max_iters=12,
        epoch_length=4,
    )
    assert (schedule.T_max, schedule.end) == (8, 4)


@pytest.mark.parametrize("kind", ["SequentialLR", "ChainedScheduler"])
def test_torchs_schedulers_of_schedulers_take_specs(kind: str) -> None:
    """Names in them are torch's: only its schedulers can be a part."""
    parts: list[Any] = [{"type": "LinearLR"}, {"type": "ExponentialLR", "gamma": 0.9}]
    spec: dict[str, Any] = {"type": kind, "schedulers": parts}
    if kind == "SequentialLR":
        spec["milestones"] = [2]
    built, mine = wrapper(), wrapper()
    (schedule,) = build_param_schedulers(spec, built, max_epochs=9, max_iters=0)
    torchs: Any = torch.optim.lr_scheduler
    own = [
        torchs.LinearLR(mine.optimizer),
        torchs.ExponentialLR(mine.optimizer, gamma=0.9),
    ]
    other = (
        torchs.SequentialLR(mine.optimizer, own, milestones=[2])
        if kind == "SequentialLR"
        else torchs.ChainedScheduler(own)
    )
    for _ in range(5):
        assert built.get_lr() == mine.get_lr()
        built.optimizer.step()
        mine.optimizer.step()
        schedule.step()
        other.step()
    assert parts[0] == {"type": "LinearLR"}
    spec["schedulers"] = [parts[0], {"type": "PolyLR"}]
    with pytest.raises(ConfigError, match=r"\[0\]\.schedulers\[1\]: expected one of"):
        build_param_schedulers(spec, wrapper(), max_epochs=9, max_iters=0)


def test_torchs_own_schedulers_pass_through() -> None:
    """They step; that is enough."""
    own = torch.optim.lr_scheduler.StepLR(wrapper().optimizer, 2)
    assert build_param_schedulers(own, wrapper(), max_epochs=1, max_iters=1) == [own]
    assert build_param_schedulers(None, wrapper(), max_epochs=1, max_iters=1) == []


@pytest.mark.parametrize(
    ("schedule", "iters", "said"),
    [
        ([3], 1, r"^\[0\]: expected a schedule or a spec, found an int"),
        (
            {"type": "LinearLR", "convert_to_iter_based": True},
            0,
            r"\[0\]: .*convert_to_iter_based=True needs epoch_length",
        ),
    ],
)
def test_bad_schedules(schedule: Any, iters: int, said: str) -> None:
    """Each is named."""
    with pytest.raises(ConfigError, match=said):
        build_param_schedulers(schedule, wrapper(), max_epochs=2, max_iters=iters)


def test_finished_wrappers_by_name_are_several_optimizers() -> None:
    """Schedules of one name act on it; a list acts on each."""
    several = build_optim_wrapper(MODEL, {"one": wrapper(1.0), "other": wrapper(2.0)})
    assert isinstance(several, OptimWrapperDict)
    each = build_param_schedulers(
        {"type": "ConstantLR", "factor": 0.5}, several, max_epochs=3, max_iters=3
    )
    assert {name: len(some) for name, some in each.items()} == {"one": 1, "other": 1}
    assert several.get_lr() == {"one.lr": [0.5], "other.lr": [1.0]}
    build_param_schedulers(
        {"other": [{"type": "ConstantLR", "factor": 0.5}]},
        several,
        max_epochs=3,
        max_iters=3,
    )
    assert several.get_lr() == {"one.lr": [0.5], "other.lr": [0.5]}
    with pytest.raises(ConfigError, match="no optimizer is called 'othr', there are"):
        build_param_schedulers({"othr": []}, several, max_epochs=3, max_iters=3)


@pytest.mark.parametrize("name", ["StepLR", "torch.optim.lr_scheduler.StepLR"])
def test_torchs_schedulers_by_name(name: str) -> None:
    """Ours where the name is ours, torch's by its path."""
    optimizer = wrapper()
    (built,) = build_param_schedulers(
        {"type": name, "step_size": 1, "gamma": 0.5, "by_epoch": False},
        optimizer,
        max_epochs=3,
        max_iters=3,
    )
    assert isinstance(built, TorchSchedule) == ("torch" in name)
    assert not built.by_epoch
    optimizer.step()
    built.step()
    assert built.get_last_value() == [0.5]


def test_torchs_plateau_waits_for_its_metric() -> None:
    """It needs a monitor; others take none."""
    spec: dict[str, Any] = {"type": "ReduceLROnPlateau", "patience": 0, "factor": 0.5}
    (built,) = build_param_schedulers(
        {**spec, "monitor": "score"}, wrapper(), max_epochs=3, max_iters=3
    )
    for score in (1.0, 1.0, 1.0):
        built.step()
        built.step({"score": score})
    assert built.get_last_value() == [0.25]
    with pytest.raises(ScheduleError, match="monitor is 'score', but the validation"):
        built.step({"scores": 1.0})
    with pytest.raises(ScheduleError, match="ReduceLROnPlateau needs monitor"):
        build_param_schedulers(spec, wrapper(), max_epochs=3, max_iters=3)
