"""The curves of schedules, as pure functions.

Each gives the value of one step from the value before it, not from a table, so
several schedules may act on one value: each goes on from what the others left.
Arguments are checked once, by the classes in ``names.py``, not at each step.
"""

from __future__ import annotations

from math import cos, pi
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "constant",
    "cosine",
    "cosine_restart",
    "exponential",
    "linear",
    "multi_step",
    "one_cycle",
    "poly",
    "staircase",
]


def linear(
    step: int, value: float, *, steps: float, start_factor: float, end_factor: float
) -> float:
    """Value at ``step`` of a factor that moves linearly between two factors.

    The recursive form of :class:`torch.optim.lr_scheduler.LinearLR`: acting alone it
    gives ``base * (start_factor + (end_factor - start_factor) * step / steps)``.

    Args:
        step: Steps since the curve began, at least 0; step 0 applies
            ``start_factor`` to ``value``.
        value: Value before this step, in the parameter's unit (here: learning rate).
        steps: Step at which ``end_factor`` is reached, at least 0. Past it the line
            goes on.
        start_factor: In ``(0, 1]``: from 0 no product gets away.
        end_factor: In ``[0, 1]``.

    >>> value, trace = 1.0, []
    >>> for step in range(5):
    ...     value = linear(step, value, steps=4, start_factor=0.2, end_factor=1.0)
    ...     trace.append(round(value, 3))
    >>> trace
    [0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if step == 0:
        return value * start_factor
    slope = end_factor - start_factor
    before = steps * start_factor + (step - 1) * slope
    # `before` is 0 only past a line that has ended at 0: there the value stays.
    return value * (1.0 + slope / before) if before else value


def cosine(step: int, value: float, *, steps: float, start: float, end: float) -> float:
    """Value at ``step`` of a cosine anneal, which swings back after ``steps``.

    Equation 5 of Loshchilov & Hutter, "SGDR" (arXiv:1608.03983), in the recursive form
    of :class:`torch.optim.lr_scheduler.CosineAnnealingLR`: acting alone it gives
    ``end + (start - end) * (1 + cos(pi * step / steps)) / 2``.

    Args:
        step: Steps since the curve began, at least 0; step 0 keeps ``value``.
        value: Value before this step, in the parameter's unit (here: learning rate).
        steps: Half a period: the step at which ``end`` is reached, above 0.
        start: The parameter's initial value, same unit.
        end: The lowest value, same unit.

    >>> value, trace = 1.0, []
    >>> for step in range(6):
    ...     value = cosine(step, value, steps=4, start=1.0, end=0.0)
    ...     trace.append(round(value, 3))
    >>> trace
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.146]
    """
    if step == 0:
        return value
    if (step - 1 - steps) % (2 * steps) == 0:
        # At the turn the quotient below is 0/0: lift off by the closed form's amount.
        return value + (start - end) * (1 - cos(pi / steps)) / 2
    here, before = 1 + cos(pi * step / steps), 1 + cos(pi * (step - 1) / steps)
    return here / before * (value - end) + end


def multi_step(
    step: int, value: float, *, milestones: Sequence[int], gamma: float
) -> float:
    """Value at ``step`` of a staircase that is multiplied at each milestone.

    The recursive form of :class:`torch.optim.lr_scheduler.MultiStepLR`.

    Args:
        step: Steps since the curve began, at least 0.
        value: Value before this step, in the parameter's unit (here: learning rate).
        milestones: Steps since the curve began; one that is there twice counts twice.
        gamma: Factor at each milestone.

    >>> value, trace = 1.0, []
    >>> for step in range(5):
    ...     value = multi_step(step, value, milestones=[1, 3], gamma=0.5)
    ...     trace.append(value)
    >>> trace
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """
    times: int = milestones.count(step)
    return value if times == 0 else value * gamma**times


def constant(step: int, value: float, *, steps: float, factor: float) -> float:
    """Value at ``step`` of a factor that is applied once and taken back once.

    Args:
        step: Steps since the curve began, at least 0; step 0 applies ``factor``.
        value: Value before this step, in the parameter's unit (here: learning rate).
        steps: Step at which the factor is divided out again.
        factor: In ``(0, 1]``.

    >>> value, trace = 1.0, []
    >>> for step in range(4):
    ...     value = constant(step, value, steps=2, factor=0.5)
    ...     trace.append(value)
    >>> trace
    [0.5, 0.5, 1.0, 1.0]
    """
    if step == 0:
        return value * factor
    return value * (1.0 / factor) if step == steps else value


def exponential(step: int, value: float, *, gamma: float) -> float:
    """Value at ``step`` of a product of one factor a step.

    Args:
        step: Steps since the curve began, at least 0; step 0 keeps ``value``.
        value: Value before this step, in the parameter's unit (here: learning rate).
        gamma: Factor at each later step.

    >>> exponential(0, 8.0, gamma=0.5), exponential(1, 8.0, gamma=0.5)
    (8.0, 4.0)
    """
    return value if step == 0 else value * gamma


def staircase(step: int, value: float, *, every: int, gamma: float) -> float:
    """Value at ``step`` of a staircase with stairs of equal width.

    Args:
        step: Steps since the curve began, at least 0; step 0 keeps ``value``.
        value: Value before this step, in the parameter's unit (here: learning rate).
        every: Steps of a stair, at least 1.
        gamma: Factor at the end of each.

    >>> [staircase(step, 8.0, every=2, gamma=0.5) for step in range(5)]
    [8.0, 8.0, 4.0, 8.0, 4.0]
    """
    return value * gamma if step and step % every == 0 else value


def poly(step: int, value: float, *, steps: float, end: float, power: float) -> float:
    """Value at ``step`` of a power of the way that is left.

    The recursive form: acting alone it gives
    ``end + (base - end) * (1 - step / steps) ** power``.

    Args:
        step: Steps since the curve began, at least 0; step 0 keeps ``value``.
        value: Value before this step, in the parameter's unit (here: learning rate).
        steps: Step at which ``end`` is reached. Past it the value stays.
        end: The lowest value, same unit.
        power: Above 0.

    >>> value, trace = 1.0, []
    >>> for step in range(5):
    ...     value = poly(step, value, steps=4, end=0.0, power=2.0)
    ...     trace.append(round(value, 4))
    >>> trace
    [1.0, 0.5625, 0.25, 0.0625, 0.0]
    """
    if step == 0 or step > steps:
        return value
    left: float = (1.0 - 1.0 / (steps - step + 1)) ** power
    return end + (value - end) * left


def cosine_restart(
    step: int,
    value: float,
    *,
    periods: Sequence[int],
    weights: Sequence[float],
    start: float,
    end: float,
) -> float:
    """Value at ``step`` of a cosine that begins high again in each period.

    Loshchilov & Hutter, "SGDR" (arXiv:1608.03983), with a weight for each period, in
    the recursive form of :func:`cosine`: only where a period begins, the value is set
    outright.

    Args:
        step: Steps since the curve began, at least 0.
        value: Value before this step; kept after the last period.
        periods: Steps of each period.
        weights: Share of ``start`` that each period begins with.
        start: The parameter's initial value, in its unit.
        end: The lowest value, same unit.

    >>> value, trace = 1.0, []
    >>> for step in range(5):
    ...     value = cosine_restart(
    ...         step, value, periods=[2, 2], weights=[1, 0.5], start=1.0, end=0.0
    ...     )
    ...     trace.append(round(value, 3))
    >>> trace
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """
    for length, weight in zip(periods, weights, strict=True):
        if step == 0:
            return start * weight
        if step < length:
            here, before = (
                1 + cos(pi * step / length),
                1 + cos(pi * (step - 1) / length),
            )
            return here / before * (value - end) + end
        step -= length
    return value


def one_cycle(
    step: int,
    *,
    steps: int,
    first: float,
    high: float,
    low: float,
    rise: float,
    linear: bool,
    three_phase: bool,
) -> float:
    """Value at ``step`` of one cycle: up to a highest value, then down to a lowest.

    The phases of :class:`torch.optim.lr_scheduler.OneCycleLR`.

    Args:
        step: Steps since the curve began, from 0 to ``steps``.
        steps: Steps of the cycle, at least 1.
        first: Value at step 0, in the parameter's unit.
        high: The highest value, same unit.
        low: The value at the last step, same unit.
        rise: Share of the cycle that rises.
        linear: Whether values move along lines, else along half cosines.
        three_phase: Whether the fall mirrors the rise, followed by a phase from
            ``first`` to ``low``.

    >>> settings = dict(steps=5, first=1, high=5, low=0, linear=True, three_phase=False)
    >>> [one_cycle(step, rise=0.6, **settings) for step in range(5)]
    [1.0, 3.0, 5.0, 2.5, 0.0]
    """
    top, last = rise * steps - 1, steps - 1
    phases = [(top, first, high), (last, high, low)]
    if three_phase:
        phases = [(top, first, high), (2 * top, high, first), (last, first, low)]
    begin = 0.0
    for end, start, stop in phases:
        if step <= end or end == last:
            share = (step - begin) / (end - begin) if end != begin else 1.0
            if linear:
                return start + (stop - start) * share
            return stop + (start - stop) / 2.0 * (1 + cos(pi * share))
        begin = end
    return low
