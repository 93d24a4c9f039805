"""Which checkpoints go when a new one was written, and which is the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Entry", "choose", "newest_first"]


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


@frozen
class Entry:
    """A checkpoint of a folder, as far as its age goes.

    Args:
        name: Its file.
        modified: When it was written, by a clock that may have been set back.
        sequence: Its number among the folder's, from its manifest; ``None`` without.
    """

    name: str
    modified: float
    sequence: int | None = None


def newest_first(entries: Iterable[Entry]) -> list[str]:
    """Names of checkpoints, newest first.

    Numbers decide where there are any, whatever the clock says. A file without one
    comes before the first of the others that is not younger by the clock.

    >>> newest_first([Entry("a", 3.0, 1), Entry("b", 1.0, 2), Entry("c", 2.0)])
    ['c', 'b', 'a']
    """
    by_time = sorted(entries, key=lambda one: (one.modified, one.name), reverse=True)
    unnumbered = [one for one in by_time if one.sequence is None]
    ordered = sorted(
        (one for one in by_time if one.sequence is not None),
        key=lambda one: (one.sequence, one.modified, one.name),
        reverse=True,
    )
    for entry in unnumbered:
        older = (
            place
            for place, other in enumerate(ordered)
            if other.modified <= entry.modified
        )
        ordered.insert(next(older, len(ordered)), entry)
    return [one.name for one in ordered]
