"""Event filters: which arguments go together, and which values they take."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import EventError
from engine.events import Events


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"once": 1, "every": 2},
        {"once": 1, "before": 2},
        {"event_filter": lambda _, __: True, "every": 2},
        {"event_filter": lambda _, __: True, "once": 2},
    ],
)
def test_an_event_takes_one_filter(arguments: dict[str, Any]) -> None:
    """None, or two that say different things, are refused."""
    with pytest.raises(EventError, match="an event takes one filter: a function, onc"):
        Events.EPOCH_COMPLETED(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every": 0}, "every=0: give a whole number of at least 1"),
        ({"every": -2}, "every=-2: give a whole number of at least 1"),
        ({"every": 1.5}, r"every=1\.5: give a whole number of at least 1"),
        ({"every": True}, "every=True: give a whole number of at least 1"),
        ({"once": 0}, "once=0: give positive whole numbers"),
        ({"once": []}, r"once=\[\]: give positive whole numbers"),
        ({"once": [1, -1]}, r"once=\[1, -1\]: give positive whole numbers"),
        ({"before": -1}, "before=-1: give a whole number of at least 0"),
        ({"after": 1.5}, r"after=1\.5: give a whole number of at least 0"),
        ({"event_filter": 3}, "event_filter=3 cannot be called"),
    ],
)
def test_a_value_out_of_range_is_refused(
    arguments: dict[str, Any], message: str
) -> None:
    """The error names the argument, what was found and what is allowed."""
    with pytest.raises(EventError, match=message):
        Events.ITERATION_STARTED(**arguments)


def test_bounds_leave_out_their_ends() -> None:
    """Before 5 ends at 4, after 2 begins at 3; with both, every counts from 3."""
    event = Events.ITERATION_STARTED
    wanted = [
        [count for count in range(1, 10) if when is not None and when.due(None, count)]
        for when in (
            event(before=5).when,
            event(after=2).when,
            event(before=5, after=2).when,
            event(every=3, after=2).when,
            event(every=3, before=8).when,
        )
    ]
    assert wanted == [
        [1, 2, 3, 4],
        [3, 4, 5, 6, 7, 8, 9],
        [3, 4],
        [3, 6, 9],
        [1, 4, 7],
    ]


def test_each_one_is_no_filter() -> None:
    """``every=1`` costs nothing."""
    assert Events.ITERATION_STARTED(every=1).when is None


def test_a_predicate_gets_the_engine_and_the_count() -> None:
    """As in Ignite; whatever is true counts."""
    seen: list[Any] = []

    def test(engine: object, count: int) -> int:
        seen.append((engine, count))
        return count % 2

    when = Events.ITERATION_STARTED(event_filter=test).when
    assert when is not None
    assert [when.due("engine", count) for count in (1, 2)] == [True, False]
    assert seen == [("engine", 1), ("engine", 2)]
    assert when.next_due(7) == 7
