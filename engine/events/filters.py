"""On which occurrences of an event a handler runs, decided by arithmetic.

Occurrences are counted from 1. A filter can say which occurrence is the next one it
wants, so the bus asks it again only then: a handler that runs each 1,000 iterations
costs nothing in the 999 between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from attrs import field, frozen

from engine.errors import EventError

__all__ = ["Before", "Every", "Filter", "Once", "Predicate", "make_filter"]


class Filter(Protocol):
    """Decides on which occurrences of an event a handler runs."""

    def due(self, trainer: Any, count: int) -> bool:
        """Whether the handler runs on occurrence ``count``."""

    def next_due(self, count: int) -> float:
        """The first occurrence from ``count`` on that may be due; ``inf`` if none."""


def _at_least(low: int) -> Callable[[Any, Any, Any], None]:
    def check(_: Any, attribute: Any, value: Any) -> None:
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= low
        if not fits:
            message = (
                f"event filter {attribute.name}={value!r}: give a whole number of at "
                f"least {low}"
            )
            raise EventError(message)

    return check


@frozen
class Every:
    """Each ``every``-th occurrence after ``after`` and before ``before``.

    Without bounds the multiples of ``every``; with one, counted from the first
    occurrence inside the bounds, as Ignite does it.
    """

    every: int = field(validator=_at_least(1))
    after: int | None = None
    before: int | None = None

    def due(self, trainer: Any, count: int) -> bool:
        """Whether ``count`` is one of them."""
        return self.next_due(count) == count

    def next_due(self, count: int) -> float:
        """The first of them from ``count`` on."""
        if self.after is None and self.before is None:
            return -(-count // self.every) * self.every
        first = (self.after or 0) + 1
        steps = -(-max(count - first, 0) // self.every)
        found = first + steps * self.every
        return found if self.before is None or found < self.before else math.inf


@frozen
class Once:
    """The occurrences listed."""

    counts: tuple[int, ...]

    def due(self, trainer: Any, count: int) -> bool:
        """Whether ``count`` is listed."""
        return count in self.counts

    def next_due(self, count: int) -> float:
        """The first listed one from ``count`` on."""
        return min((one for one in self.counts if one >= count), default=math.inf)


@frozen
class Before:
    """All occurrences after ``after`` and before ``before``."""

    after: int | None = None
    before: int | None = None

    def due(self, trainer: Any, count: int) -> bool:
        """Whether ``count`` lies between."""
        return self.next_due(count) == count

    def next_due(self, count: int) -> float:
        """The first one between from ``count`` on."""
        found = max(count, (self.after or 0) + 1)
        return found if self.before is None or found < self.before else math.inf


@frozen
class Predicate:
    """Whatever ``test(trainer, count)`` says; asked at every occurrence."""

    test: Callable[[Any, int], object]

    def due(self, trainer: Any, count: int) -> bool:
        """Whether the user's function says so."""
        return bool(self.test(trainer, count))

    def next_due(self, count: int) -> float:
        """Each occurrence may be due."""
        return count


def make_filter(
    event_filter: Callable[[Any, int], object] | None = None,
    every: int | None = None,
    once: int | Sequence[int] | None = None,
    before: int | None = None,
    after: int | None = None,
) -> Filter | None:
    """The filter that the arguments describe; ``None`` if every occurrence passes.

    Raises:
        EventError: Arguments exclude each other, or one is out of range.
    """
    given = (
        event_filter is not None,
        once is not None,
        every is not None or before is not None or after is not None,
    )
    if sum(given) != 1:
        message = (
            "an event takes one filter: a function, once=, or every= with before= and "
            "after="
        )
        raise EventError(message)
    if event_filter is not None:
        if not callable(event_filter):
            message = f"event_filter={event_filter!r} cannot be called"
            raise EventError(message)
        return Predicate(event_filter)
    if once is not None:
        counts = (once,) if isinstance(once, int) else tuple(once)
        if not counts or not all(isinstance(one, int) and one > 0 for one in counts):
            message = f"once={once!r}: give positive whole numbers"
            raise EventError(message)
        return Once(counts)
    for name, bound in (("before", before), ("after", after)):
        if bound is not None and (not isinstance(bound, int) or bound < 0):
            message = f"{name}={bound!r}: give a whole number of at least 0"
            raise EventError(message)
    if every is None:
        return Before(after, before)
    wanted = Every(every, after, before)
    return None if every == 1 and before is None and after is None else wanted
