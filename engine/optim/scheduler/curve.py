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

__all__ = ["cosine", "linear", "multi_step"]


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
