"""Averaged weights are what their formulas say in closed form."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from engine.model import (
    BaseAveragedModel,
    ExponentialMovingAverage,
    MomentumAnnealingEMA,
    StochasticWeightAverage,
)

WEIGHTS = st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=12)
INTERVALS = st.integers(1, 4)


def followed(
    average: BaseAveragedModel, model: nn.Linear, values: list[float]
) -> float:
    """The averaged weight after the model's has had these values."""
    for value in values:
        nn.init.constant_(model.weight, value)
        average.update_parameters(model)
    weight = average.module.get_parameter("weight")
    return weight.item()


def line() -> nn.Linear:
    """One weight of double precision."""
    return nn.Linear(1, 1, bias=False, dtype=torch.float64)


@given(values=WEIGHTS, interval=INTERVALS)
def test_the_stochastic_average_is_the_mean(values: list[float], interval: int) -> None:
    """Each value that was looked at counts the same."""
    model = line()
    found = followed(StochasticWeightAverage(model, interval), model, values)
    seen = values[::interval]
    assert found == pytest.approx(sum(seen) / len(seen), abs=1e-9)


@given(values=WEIGHTS, interval=INTERVALS, momentum=st.floats(0.001, 0.5))
def test_the_exponential_average_is_the_weighted_sum(
    values: list[float], interval: int, momentum: float
) -> None:
    """A value of k moves ago counts momentum * (1 - momentum) ** k."""
    model = line()
    average = ExponentialMovingAverage(model, momentum, interval)
    found = followed(average, model, values)
    first, *rest = values[::interval]
    expected = first * (1 - momentum) ** len(rest) + sum(
        momentum * (1 - momentum) ** k * value for k, value in enumerate(reversed(rest))
    )
    assert found == pytest.approx(expected, abs=1e-9)


@given(
    values=WEIGHTS,
    interval=INTERVALS,
    momentum=st.floats(0.001, 0.5),
    gamma=st.integers(1, 20),
)
def test_the_annealed_average_takes_larger_shares_first(
    values: list[float], interval: int, momentum: float, gamma: int
) -> None:
    """At update n the share is max(momentum, gamma / (gamma + n))."""
    model = line()
    average = MomentumAnnealingEMA(model, momentum, gamma, interval)
    found = followed(average, model, values)
    expected = values[0]
    for step in range(interval, len(values), interval):
        share = max(momentum, gamma / (gamma + step))
        expected = (1 - share) * expected + share * values[step]
    assert found == pytest.approx(expected, abs=1e-9)


@given(values=WEIGHTS, cut=st.integers(0, 12), interval=INTERVALS)
def test_a_saved_average_goes_on_as_if_never_stopped(
    values: list[float], cut: int, interval: int
) -> None:
    """The state holds all that later updates depend on."""
    model = line()
    whole = followed(MomentumAnnealingEMA(model, 0.01, 3, interval), model, values)
    head = MomentumAnnealingEMA(model, 0.01, 3, interval)
    followed(head, model, values[:cut])
    tail = MomentumAnnealingEMA(line(), 0.01, 3, interval)
    tail.load_state_dict(head.state_dict())
    assert followed(tail, model, values[cut:]) == whole
