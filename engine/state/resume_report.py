"""How exactly each part of a resumed run came back, and why not better."""

from __future__ import annotations

from enum import IntEnum

from attrs import field, frozen
from attrs.validators import instance_of

__all__ = ["Exactness", "PartReport"]


class Exactness(IntEnum):
    """How much of a part a resume restores; the larger, the worse."""

    EXACT = 0
    """To the bit."""
    SAME_ORDER = 1
    """The same samples in the same order; random numbers in them may differ."""
    BEST_EFFORT = 2
    """By replaying or guessing; whether it is the same, nobody can tell."""
    LOST = 3
    """It begins anew, or what it knew is dropped."""


@frozen
class PartReport:
    """What a resume says of one part of the run.

    Args:
        part: The part's unique name, as ``"train data"`` or ``"hook 'logger'"``.
        level: How much of it comes back.
        reason: Why it is not better, or what it rests on: one sentence without a stop.
    """

    part: str = field(validator=instance_of(str))
    level: Exactness = field(validator=instance_of(Exactness))
    reason: str = field(validator=instance_of(str))
