"""How a backend fares in a run."""

from __future__ import annotations

from attrs import define

__all__ = ["PATIENCE", "Health", "describe"]

PATIENCE = 3
"""Failures in a row after which a backend is left alone: each may wait long."""


@define
class Health:
    """Failures of one backend.

    Args:
        told: Whether the run's log was warned.
        in_a_row: Failures since something worked.
        lost: Calls that it did not show.
    """

    told: bool = False
    in_a_row: int = 0
    lost: int = 0

    @property
    def given_up(self) -> bool:
        """Whether it is left alone."""
        return self.in_a_row >= PATIENCE


def describe(error: BaseException) -> str:
    """An error's type and the first line of what it says.

    >>> describe(OSError("gone"))
    'OSError: gone'
    """
    first, *_ = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
