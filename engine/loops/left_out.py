"""Batches that a run leaves out of its data: what is read instead of the whole pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["RollBack", "nothing_left", "stretches"]


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


def stretches(
    left_out: Iterable[Sequence[int]], data_pass: int, start: int
) -> Iterator[tuple[int, int | None]]:
    """What is read of a pass, from a batch on: from where, and up to where.

    Args:
        left_out: Pairs of a pass and a batch.
        data_pass: The pass.
        start: The first batch.

    Yields:
        First batch, and the one after the last; ``None``: to the end of the pass.

    >>> list(stretches([(0, 2), (0, 3), (1, 5)], 0, 1))
    [(1, 2), (4, None)]
    """
    gaps = sorted(batch for one, batch in left_out if one == data_pass)
    for gap in gaps:
        if gap > start:
            yield start, gap
        start = max(start, gap + 1)
    yield start, None


def nothing_left(
    left_out: Iterable[Sequence[int]], data_pass: int, start: int, length: int
) -> bool:
    """Whether all batches of a pass from ``start`` on are left out.

    >>> nothing_left([(0, 2), (0, 3)], 0, 2, 4), nothing_left([(0, 2)], 0, 1, 4)
    (True, False)
    """
    here = {batch for one, batch in left_out if one == data_pass}
    return all(batch in here for batch in range(start, length))
