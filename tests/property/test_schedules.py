"""Laws of parameter schedules."""

from __future__ import annotations

import io
from math import cos, pi
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from engine.build import build_param_schedulers
from engine.optim import (
    CosineAnnealingLR,
    LinearLR,
    MultiStepLR,
    OptimWrapper,
    TorchSchedule,
)
from engine.registry import PARAM_SCHEDULERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.optim import _ParamScheduler

LRS = st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=3)
STEPS = st.integers(1, 30)
FACTORS = st.floats(1e-3, 1.0)


@st.composite
def specs(draw: st.DrawFn) -> tuple[type[_ParamScheduler], dict[str, Any]]:
    """One schedule's class and arguments, over steps that a run of 40 sees."""
    begin = draw(st.integers(0, 10))
    limits: dict[str, Any] = {"begin": begin, "end": begin + draw(STEPS)}
    kind = draw(st.sampled_from([LinearLR, CosineAnnealingLR, MultiStepLR]))
    if kind is LinearLR:
        own: dict[str, Any] = {"start_factor": draw(FACTORS)}
    elif kind is CosineAnnealingLR:
        own = {"T_max": draw(STEPS), "eta_min_ratio": draw(st.floats(0.0, 0.5))}
    else:
        milestones = draw(st.lists(st.integers(0, 20), max_size=4))
        own = {"milestones": sorted(milestones), "gamma": draw(FACTORS)}
    return kind, own | limits


def make(lrs: list[float]) -> OptimWrapper:
    """A wrapper with one parameter group for each learning rate."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    return OptimWrapper(torch.optim.SGD(groups))


def values_of(
    target: OptimWrapper, schedules: list[_ParamScheduler], steps: int
) -> list[list[float]]:
    """Every group's value after each of some steps."""
    trace = []
    for _ in range(steps):
        for schedule in schedules:
            schedule.step()
        trace.append(target.get_lr()["lr"])
    return trace


def alone(
    build: Callable[[OptimWrapper], _ParamScheduler], lr: float, steps: int
) -> list[float]:
    """The values of one schedule acting alone, the first step's included."""
    target = make([lr])
    schedule = build(target)
    first = target.get_lr()["lr"]
    return first + [values[0] for values in values_of(target, [schedule], steps)]


@given(lr=st.floats(1e-6, 10.0), steps=STEPS, start=FACTORS, end=FACTORS)
def test_linear_alone_is_a_line(
    lr: float, steps: int, start: float, end: float
) -> None:
    """The products of the recursion are the closed form."""
    got = alone(
        lambda target: LinearLR(
            target, start_factor=start, end_factor=end, end=steps + 1
        ),
        lr,
        steps,
    )
    line = [lr * (start + (end - start) * step / steps) for step in range(steps + 1)]
    assert got == pytest.approx(line, rel=1e-9)


@given(lr=st.floats(1e-6, 10.0), half=STEPS, steps=STEPS, ratio=st.floats(0.0, 1.0))
def test_cosine_alone_is_a_cosine(
    lr: float, half: int, steps: int, ratio: float
) -> None:
    """Also past its turn, where the recursion lifts off anew."""
    got = alone(
        lambda target: CosineAnnealingLR(target, T_max=half, eta_min_ratio=ratio),
        lr,
        steps,
    )
    low = lr * ratio
    curve = [
        low + (lr - low) * (1 + cos(pi * step / half)) / 2 for step in range(steps + 1)
    ]
    assert got == pytest.approx(curve, rel=1e-9, abs=1e-9 * lr)


@given(
    lr=st.floats(1e-6, 10.0),
    gamma=FACTORS,
    milestones=st.lists(st.integers(0, 20), max_size=5).map(sorted),
)
def test_multi_step_alone_is_a_staircase(
    lr: float, gamma: float, milestones: list[int]
) -> None:
    """At each step the value has one factor for each milestone passed."""
    got = alone(
        lambda target: MultiStepLR(target, milestones=milestones, gamma=gamma), lr, 20
    )
    stairs = [lr * gamma ** sum(m <= step for m in milestones) for step in range(21)]
    assert got == pytest.approx(stairs, rel=1e-12)


@given(lrs=LRS, chain=st.lists(specs(), min_size=1, max_size=3), draw=st.data())
def test_a_chain_resumed_from_state_gives_the_same_numbers(
    lrs: list[float],
    chain: list[tuple[type[_ParamScheduler], dict[str, Any]]],
    draw: st.DataObject,
) -> None:
    """After any step, into schedules that were even made with other numbers."""
    cut = draw.draw(st.integers(0, 40), label="save after")
    target = make(lrs)
    schedules = [kind(target, **arguments) for kind, arguments in chain]
    whole = values_of(target, schedules, 40)

    target = make(lrs)
    schedules = [kind(target, **arguments) for kind, arguments in chain]
    head = values_of(target, schedules, cut)
    saved = target.state_dict(), [schedule.state_dict() for schedule in schedules]

    target = make([1.0 for _ in lrs])
    schedules = [
        kind(target, **arguments | {"begin": 0, "end": 3}) for kind, arguments in chain
    ]
    target.load_state_dict(saved[0])
    for schedule, state in zip(schedules, saved[1], strict=True):
        schedule.load_state_dict(state)
    tail = values_of(target, schedules, 40 - cut)
    assert head + tail == whole


@given(lrs=LRS, spec=specs())
def test_values_rest_outside_begin_and_end(
    lrs: list[float], spec: tuple[type[_ParamScheduler], dict[str, Any]]
) -> None:
    """Before ``begin`` the initial values hold, from ``end`` on the last ones."""
    kind, arguments = spec
    target = make(lrs)
    schedule = kind(target, **arguments)
    trace = [target.get_lr()["lr"], *values_of(target, [schedule], 45)]
    begin, end = arguments["begin"], arguments["end"]
    assert trace[:begin] == [lrs] * begin
    assert all(values == trace[end - 1] for values in trace[end:])


@given(
    lr=st.floats(1e-6, 10.0),
    warm=st.integers(1, 15),
    start=FACTORS,
    milestones=st.lists(st.integers(0, 20), max_size=4).map(sorted),
)
def test_overlapping_products_multiply(
    lr: float, warm: int, start: float, milestones: list[int]
) -> None:
    """A warm-up and a staircase on one value give the product of their factors."""
    target = make([lr])
    schedules: list[_ParamScheduler] = [
        LinearLR(target, start_factor=start, end=warm + 1),
        MultiStepLR(target, milestones=milestones, gamma=0.5),
    ]
    got = [target.get_lr()["lr"], *values_of(target, schedules, 20)]
    for step, [value] in enumerate(got):
        line = start + (1 - start) * min(step, warm) / warm
        stairs = 0.5 ** sum(m <= step for m in milestones)
        assert value == pytest.approx(lr * line * stairs, rel=1e-9)


@given(
    lr=st.floats(1e-6, 10.0), epochs=st.integers(1, 8), epoch_length=st.integers(1, 6)
)
def test_by_iteration_meets_by_epoch_at_epoch_edges(
    lr: float, epochs: int, epoch_length: int
) -> None:
    """A cosine built from epochs has their values where epochs begin."""
    coarse = alone(lambda t: CosineAnnealingLR(t, T_max=epochs), lr, epochs)
    fine = alone(
        lambda t: CosineAnnealingLR.build_iter_from_epoch(
            t, T_max=epochs, epoch_length=epoch_length
        ),
        lr,
        epochs * epoch_length,
    )
    assert fine[::epoch_length] == pytest.approx(coarse, rel=1e-9, abs=1e-9 * lr)


# Arguments of every class that is registered, by its name without LR and the like.
OURS: dict[str, dict[str, Any]] = {
    "Constant": {"factor": 0.5, "end": 9},
    "CosineAnnealing": {"T_max": 7, "eta_min": 1e-3},
    "CosineRestart": {
        "periods": [3, 5, 4],
        "restart_weights": [1, 0.5, 0.7],
        "eta_min": 0.0,
    },
    "Exponential": {"gamma": 0.9},
    "Linear": {"start_factor": 0.3, "end": 8},
    "MultiStep": {"milestones": [2, 5, 5, 11]},
    "OneCycle": {"eta_max": 0.4, "total_steps": 40, "three_phase": True},
    "Poly": {"power": 0.8, "eta_min": 1e-3, "end": 14},
    "ReduceOnPlateau": {"monitor": "score", "patience": 1, "cooldown": 1},
    "Step": {"step_size": 3},
}
TORCHS: dict[str, dict[str, Any]] = {
    "CosineAnnealingWarmRestarts": {"T_0": 3, "T_mult": 2},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 4},
    "LambdaLR": {"lr_lambda": lambda step: 1 / (1 + step)},
    "MultiplicativeLR": {"lr_lambda": lambda step: 0.9},
    "PolynomialLR": {"total_iters": 9, "power": 1.5},
    "ReduceLROnPlateau": {"monitor": "score", "patience": 1, "cooldown": 1},
    "SWALR": {"swa_lr": 0.02, "anneal_epochs": 6},
    "torch.optim.lr_scheduler.ConstantLR": {"total_iters": 5},
    "torch.optim.lr_scheduler.CosineAnnealingLR": {"T_max": 7},
    "torch.optim.lr_scheduler.ExponentialLR": {"gamma": 0.9},
    "torch.optim.lr_scheduler.LinearLR": {"total_iters": 8},
    "torch.optim.lr_scheduler.MultiStepLR": {"milestones": [2, 5, 5]},
    "torch.optim.lr_scheduler.OneCycleLR": {"max_lr": 0.4, "total_steps": 40},
    "torch.optim.lr_scheduler.StepLR": {"step_size": 3},
}
OF_SEVERAL = ("ChainedScheduler", "SequentialLR")
SUFFIXES = {"LR": {}, "Momentum": {}, "ParamScheduler": {"param_name": "weight_decay"}}


def specs_of_every_class() -> dict[str, dict[str, Any]]:
    """A spec of each class by its name, but for those made of other schedules."""
    every = {}
    for kind, arguments in OURS.items():
        for suffix, more in SUFFIXES.items():
            name = kind + suffix
            every[name] = {"type": name, **arguments, **more}
    return every | {name: {"type": name, **args} for name, args in TORCHS.items()}


EVERY = specs_of_every_class()


def test_every_registered_class_has_a_spec_here() -> None:
    """Those below then hold for each of them."""
    registered = {
        *PARAM_SCHEDULERS.module_dict,
        *(n for n in TORCHS if n.startswith("torch.")),
    }
    assert registered == {*EVERY, *OF_SEVERAL}


class Scheduled:
    """An optimizer with schedules, stepped as a run steps them.

    Args:
        names: Of the schedules, in order.
        kind: Class of the optimizer.
    """

    def __init__(self, names: list[str], kind: str) -> None:
        groups = [
            {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr}
            for lr in (0.1, 0.03)
        ]
        more = {"momentum": 0.9} if kind == "SGD" else {}
        self.optimizer = getattr(torch.optim, kind)(groups, weight_decay=0.1, **more)
        self.wrapper = OptimWrapper(self.optimizer)
        self.schedules: list[Any] = []
        for name in names:
            if name in OF_SEVERAL:
                self.schedules.append(self._of_several(name))
            else:
                self.schedules += build_param_schedulers(
                    [EVERY[name]], self.wrapper, max_epochs=40, max_iters=40
                )

    def _of_several(self, name: str) -> TorchSchedule:
        inner: list[Any] = [
            lr_scheduler.LinearLR(self.optimizer, total_iters=4),
            lr_scheduler.ExponentialLR(self.optimizer, gamma=0.9),
        ]
        if name == "ChainedScheduler":
            return TorchSchedule(lr_scheduler.ChainedScheduler(inner))
        return TorchSchedule(
            lr_scheduler.SequentialLR(self.optimizer, inner, milestones=[4])
        )

    def step(self, score: float) -> list[Any]:
        """One step and a validation; what the schedules could have changed."""
        self.optimizer.step()
        for schedule in self.schedules:
            schedule.step()
        for schedule in self.schedules:
            if getattr(schedule, "need_val_args", False):
                schedule.step({"score": score})
        return [
            (
                group["lr"],
                group["weight_decay"],
                group.get("betas", group.get("momentum")),
            )
            for group in self.optimizer.param_groups
        ]

    def save(self) -> bytes:
        """State as a checkpoint would hold it."""
        file = io.BytesIO()
        states = [schedule.state_dict() for schedule in self.schedules]
        torch.save([self.wrapper.state_dict(), states], file)
        return file.getvalue()

    def load(self, saved: bytes) -> None:
        """Go on from there."""
        optimizer, states = torch.load(io.BytesIO(saved), weights_only=True)
        self.wrapper.load_state_dict(optimizer)
        for schedule, state in zip(self.schedules, states, strict=True):
            schedule.load_state_dict(state)


def check_stops(
    names: list[str], kind: str, stops: set[int], scores: list[float]
) -> None:
    """Compare a run with one that stops after some steps and goes on anew each time."""
    whole = Scheduled(names, kind)
    cut = Scheduled(names, kind)
    for step, score in enumerate(scores):
        assert cut.step(score) == whole.step(score), f"step {step}"
        if step in stops:
            saved = cut.save()
            cut = Scheduled(names, kind)
            cut.load(saved)


@pytest.mark.parametrize("name", [*EVERY, *OF_SEVERAL])
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_a_value_does_not_depend_on_stops_of_any_class(name: str, kind: str) -> None:
    """Not even where a run stops after each step."""
    scores = [1.0, 0.5, 0.7, 0.6, 0.9, 0.8, 0.4, 0.5, 0.6, 0.7, 0.8] * 2
    check_stops([name], kind, set(range(22)), scores)


@given(
    names=st.lists(st.sampled_from([*EVERY, *OF_SEVERAL]), min_size=1, max_size=3),
    kind=st.sampled_from(["SGD", "Adam"]),
    stops=st.sets(st.integers(0, 24), max_size=6),
    scores=st.lists(st.floats(0.0, 1.0), min_size=25, max_size=25),
)
def test_a_value_does_not_depend_on_how_often_the_run_stopped(
    names: list[str], kind: str, stops: set[int], scores: list[float]
) -> None:
    """At any step, chains of any classes included, to the bit."""
    check_stops(names, kind, stops, scores)
