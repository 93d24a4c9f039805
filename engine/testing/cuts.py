"""Where a trial run is cut: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Cut", "Facts", "choose_cuts"]


@frozen(kw_only=True)
class Facts:
    """What an unbroken run tells of itself.

    Args:
        iterations: In all.
        epoch_length: Iterations in an epoch.
        window: Iterations in an accumulation window; 1: each one steps.
        validations: Iterations finished before each validation.
    """

    iterations: int
    epoch_length: int
    window: int = 1
    validations: tuple[int, ...] = ()


@frozen(order=True)
class Cut:
    """One place where a run is stopped.

    Args:
        iteration: Iterations finished.
        validated: Whether the validation there is done; if not it is owed.
        why: What the place is, for people.
    """

    iteration: int
    validated: bool
    why: str


def choose_cuts(facts: Facts, points: int) -> list[Cut]:
    """So many places to cut a run, those first that break most often.

    Args:
        facts: Of the unbroken run.
        points: How many, at least 1. A short run has fewer.

    Returns:
        The cuts in the order of the run.

    >>> facts = Facts(iterations=8, epoch_length=4, window=3, validations=(4, 8))
    >>> [(cut.iteration, cut.validated, cut.why) for cut in choose_cuts(facts, 3)]
    ... # doctest: +NORMALIZE_WHITESPACE
    [(2, False, 'inside an epoch and an accumulation window'),
     (4, False, 'before a validation'),
     (4, True, 'after a validation')]
    """
    chosen: list[Cut] = []
    places: set[tuple[int, bool]] = set()
    for cut in _candidates(facts):
        place = (cut.iteration, cut.validated)
        # After the last iteration nothing is left that could go wrong.
        if 0 < cut.iteration < facts.iterations and place not in places:
            places.add(place)
            chosen.append(cut)
        if len(chosen) == points:
            break
    return sorted(chosen)


def _candidates(facts: Facts) -> Iterator[Cut]:
    length, total = facts.epoch_length, facts.iterations
    yield _named(facts, _inside(facts, max(length // 2, 1)))
    for done in facts.validations[:1]:
        yield Cut(done, False, "before a validation")
        yield Cut(done, True, "after a validation")
    last = max(total - max(length // 2, 1), 1)
    yield _named(facts, _inside(facts, last))
    yield _named(facts, length)
    yield _named(facts, 1)
    yield _named(facts, total - 1)
    for done in facts.validations[1:]:
        yield Cut(done, False, "before a validation")
        yield Cut(done, True, "after a validation")
    for parts in range(3, total + 1):
        for part in range(1, parts):
            yield _named(facts, part * total // parts)


def _inside(facts: Facts, wanted: int) -> int:
    """The first iteration from ``wanted`` on that is inside a window, if one is."""
    near: Sequence[int] = range(wanted, min(wanted + facts.window, facts.iterations))
    return next((one for one in near if one % facts.window), wanted)


def _named(facts: Facts, done: int) -> Cut:
    if done in facts.validations:
        return Cut(done, False, "before a validation")
    place = "at an epoch's end" if done % facts.epoch_length == 0 else "inside an epoch"
    window = " and an accumulation window" if done % facts.window else ""
    return Cut(done, False, f"{place}{window}")
