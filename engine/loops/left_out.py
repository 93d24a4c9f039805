"""Batches that a run leaves out of its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["RollBack", "left_out_of", "nothing_left"]


class RollBack(BaseException):
    """The run goes back to a checkpoint: leaves whatever turns it.

    No ``Exception``: a user's ``except Exception`` must not keep it.

    Attributes:
        before: Iterations that may have been done at the checkpoint, at most.
        batches: What is left out from now on.
        reason: Why.
    """

    before: int
    batches: list[list[int]]
    reason: str


def left_out_of(left_out: Iterable[Sequence[int]], data_pass: int) -> set[int]:
    """The batches of a pass that are left out.

    Args:
        left_out: Pairs of a pass and a batch.
        data_pass: The pass.

    >>> left_out_of([(0, 2), (0, 3), (1, 5)], 0)
    {2, 3}
    """
    return {batch for one, batch in left_out if one == data_pass}


def nothing_left(
    left_out: Iterable[Sequence[int]], data_pass: int, start: int, length: int
) -> bool:
    """Whether all batches of a pass from ``start`` on are left out.

    >>> nothing_left([(0, 2), (0, 3)], 0, 2, 4), nothing_left([(0, 2)], 0, 1, 4)
    (True, False)
    """
    return left_out_of(left_out, data_pass).issuperset(range(start, length))
