"""How exactly each part of a resumed run came back, and why not better."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen
from attrs.validators import instance_of

from engine.errors import InexactResumeError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Exactness", "PartReport", "ResumeReport"]


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

    @property
    def label(self) -> str:
        """The level in words: ``"best effort"``."""
        return self.name.lower().replace("_", " ")


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
    reason: str = field(default="", validator=instance_of(str))

    def __str__(self) -> str:
        """As a line for people: ``lost: hook 'x': it is new``."""
        line = f"{self.level.label}: {self.part}"
        return f"{line}: {self.reason}" if self.reason else line


def _as_tuple(parts: Iterable[PartReport]) -> tuple[PartReport, ...]:
    return tuple(parts)


@frozen
class ResumeReport:
    """What a resume says of a whole run.

    Args:
        parts: One report for each part.

    >>> report = ResumeReport([PartReport("weights", Exactness.EXACT)])
    >>> report.is_exact
    True
    >>> lost = PartReport("hook 'Counts'", Exactness.LOST, "it has no state_dict()")
    >>> print(report.with_parts([lost]))
    exact: weights
    lost: hook 'Counts': it has no state_dict()
    """

    parts: tuple[PartReport, ...] = field(default=(), converter=_as_tuple)

    @property
    def inexact(self) -> list[PartReport]:
        """The parts that do not come back to the bit, the worst first."""
        found = [one for one in self.parts if one.level is not Exactness.EXACT]
        return sorted(found, key=lambda one: -one.level)

    @property
    def is_exact(self) -> bool:
        """Whether all come back to the bit."""
        return not self.inexact

    def with_parts(self, parts: Iterable[PartReport]) -> ResumeReport:
        """This report and these parts."""
        return evolve(self, parts=(*self.parts, *parts))

    def check_exact(self) -> None:
        """Refuse what does not come back to the bit.

        Raises:
            InexactResumeError: There is such a part; it names all of them.
        """
        if self.is_exact:
            return
        lines = "\n".join(f"  {one}" for one in self.inexact)
        message = (
            'resume="exact": not everything in this run can be restored to the bit:\n'
            f"{lines}\n"
            "Mend these, or resume with resume=True (on the command line --resume), "
            "which goes on and lists them."
        )
        raise InexactResumeError(message)

    def __str__(self) -> str:
        """A line for the exact ones, then a line for each of the others."""
        exact = [one.part for one in self.parts if one.level is Exactness.EXACT]
        lines = [f"exact: {', '.join(exact)}"] if exact else []
        return "\n".join([*lines, *map(str, self.inexact)])
