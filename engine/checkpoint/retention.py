"""Which checkpoints go when a new one was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["choose"]


def choose(saved: Sequence[str], keep: int) -> list[str]:
    """Names to drop, so that the newest ``keep`` stay.

    Args:
        saved: Names, oldest first; all of them are written.
        keep: How many stay, at least 1; -1 keeps all.

    Returns:
        Names to drop, oldest first. The newest one is never among them.

    >>> choose(["epoch_1.pth", "epoch_2.pth", "epoch_3.pth"], keep=2)
    ['epoch_1.pth']
    """
    if keep < 0:
        return []
    names = list(dict.fromkeys(saved))
    return names[: max(len(names) - max(keep, 1), 0)]
