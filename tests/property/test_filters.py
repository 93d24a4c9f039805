"""Event filters agree with what their names say, and with Ignite's own."""

from __future__ import annotations

from typing import Any

import ignite.engine
from hypothesis import given
from hypothesis import strategies as st

from engine.events import Events, Filter
from tests.strategies import filter_arguments
from tests.toys import echo_trainer

COUNTS = range(1, 61)


def naive(
    count: int,
    *,
    every: int | None = None,
    once: int | list[int] | None = None,
    before: int | None = None,
    after: int | None = None,
) -> bool:
    """Whether an occurrence is wanted, counted out one by one."""
    if once is not None:
        return count in (once if isinstance(once, list) else [once])
    inside = [
        one
        for one in range(1, 100)
        if (before is None or one < before) and (after is None or one > after)
    ]
    if every is None:
        return count in inside
    if before is None and after is None:
        return count % every == 0
    return count in inside[::every]  # from the first one inside the bounds on


def ours(arguments: dict[str, Any]) -> Filter | None:
    """Our filter for the arguments; ``None`` lets everything through."""
    return Events.ITERATION_COMPLETED(**arguments).when


def due(when: Filter | None) -> list[int]:
    """The occurrences of 1 to 60 that a filter wants."""
    return [count for count in COUNTS if when is None or when.due(None, count)]


@given(arguments=filter_arguments())
def test_filters_do_what_their_names_say(arguments: dict[str, Any]) -> None:
    """Of the occurrences 1 to 60, a filter wants those of the naive definition."""
    expected = [count for count in COUNTS if naive(count, **arguments)]
    assert due(ours(arguments)) == expected


@given(arguments=filter_arguments())
def test_filters_agree_with_ignites(arguments: dict[str, Any]) -> None:
    """The same arguments mean the same on a stock Ignite event."""
    theirs = ignite.engine.Events.ITERATION_COMPLETED(**arguments).filter
    wanted: Any = theirs or (lambda *_: True)
    assert due(ours(arguments)) == [count for count in COUNTS if wanted(None, count)]


@given(arguments=filter_arguments(), start=st.integers(1, 60))
def test_next_due_is_the_first_count_that_is_due(
    arguments: dict[str, Any], start: int
) -> None:
    """From any occurrence on, ``next_due`` is the least one that the filter wants."""
    when = ours(arguments)
    if when is None:
        return
    later = [count for count in range(start, 100) if when.due(None, count)]
    assert when.next_due(start) == min(later, default=float("inf"))


@given(
    several=st.lists(filter_arguments(), min_size=1, max_size=4),
    plain=st.booleans(),
)
def test_a_bus_calls_each_handler_when_its_filter_says(
    several: list[dict[str, Any]],
    plain: bool,
) -> None:
    """Handlers with different filters on one event do not disturb each other."""
    trainer = echo_trainer()
    calls: dict[int, list[int]] = {}
    fired = 0

    def note(number: int) -> None:
        calls.setdefault(number, []).append(fired)

    event = Events.RUN_STARTED  # one of ours, without a counter of Ignite's
    for number, arguments in enumerate(several):
        trainer.add_event_handler(event(**arguments), note, number)
    if plain:
        trainer.add_event_handler(event, note, len(several))
    for fired in COUNTS:  # noqa: B007 - read by note()
        trainer.fire_event(event)
    for number, arguments in enumerate(several):
        expected = [count for count in COUNTS if naive(count, **arguments)]
        assert calls.get(number, []) == expected
    assert not plain or calls[len(several)] == list(COUNTS)


@given(wanted=st.sets(st.integers(1, 60)), every=st.integers(1, 9))
def test_a_predicate_is_asked_at_each_occurrence(wanted: set[int], every: int) -> None:
    """A function may decide as it likes, beside a filter that decides by arithmetic."""
    trainer = echo_trainer()
    asked, calls, beside = [], [], []
    fired = 0

    def test(_: object, count: int) -> bool:
        asked.append(count)
        return count in wanted

    trainer.add_event_handler(
        Events.RUN_STARTED(event_filter=test), lambda: calls.append(fired)
    )
    trainer.add_event_handler(
        Events.RUN_STARTED(every=every), lambda: beside.append(fired)
    )
    for fired in COUNTS:  # noqa: B007 - read by the handlers
        trainer.fire_event(Events.RUN_STARTED)
    assert asked == list(COUNTS)
    assert calls == sorted(wanted)
    assert beside == list(COUNTS)[every - 1 :: every]
