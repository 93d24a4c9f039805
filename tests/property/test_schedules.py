"""Laws of parameter schedules."""

from __future__ import annotations

from math import cos, pi
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.optim import CosineAnnealingLR, LinearLR, MultiStepLR, OptimWrapper

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
