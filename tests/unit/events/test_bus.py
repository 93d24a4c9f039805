"""The bus: what the properties in tests/property and Ignite's side leave open."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import EventError, PriorityError
from engine.events import Bus, Events, Priority, bind


def bus() -> Bus:
    """A bus of nobody's."""
    return Bus("owner", lambda: "iteration 7")


def test_handlers_get_what_the_occasion_has() -> None:
    """Without arguments of its own a handler gets the occasion's."""
    some = bus()
    seen: list[Any] = []
    some.add("EVENT", lambda *args: seen.append(args))
    some.add("EVENT", lambda *args: seen.append(args), args=("mine",))
    some.fire("EVENT", "context", 3)
    assert seen == [("context", 3), ("mine",)]


def test_an_event_without_handlers_has_nothing_to_run() -> None:
    """So it costs nothing; and it has again nothing when its handler is gone."""
    some = bus()
    assert some.dispatcher("EVENT").run is None
    handle = some.add("EVENT", print)
    assert some.dispatcher("EVENT").run is not None
    handle.remove()
    assert some.dispatcher("EVENT").run is None
    some.fire("EVENT")
    some.fire("NEVER HEARD OF")


def test_a_handle_removes_once_and_as_a_context() -> None:
    """Removing twice is fine."""
    some = bus()
    calls: list[int] = []
    with some.add("EVENT", calls.append, args=(1,)) as handle:
        some.fire("EVENT")
    some.fire("EVENT")
    handle.remove()
    assert calls == [1]


def test_the_same_callable_may_be_registered_twice() -> None:
    """A handle removes its own registration, ``find`` all of them."""
    some = bus()
    calls: list[int] = []
    call = calls.append
    handle = some.add("EVENT", call, args=(1,))
    some.add("EVENT", call, args=(2,))
    some.add("OTHER", call, args=(3,))
    handle.remove()
    some.fire("EVENT")
    assert calls == [2]
    assert some.has(call, "EVENT")
    some.find(call, "EVENT").remove()
    assert not some.has(call, "EVENT")
    assert some.has(call)


def test_the_order_can_be_listed() -> None:
    """By event: priority and name of each handler as they run."""
    some = bus()
    some.add("EVENT", print, name="second", priority=55)
    some.add("EVENT", print, name="first", priority=Priority.HIGH)
    some.add("OTHER", print, name="third")
    some.dispatcher("EMPTY")
    assert some.order() == {
        "EVENT": [("HIGH", "first"), ("55", "second")],
        "OTHER": [("NORMAL", "third")],
    }


def test_a_wrong_priority_registers_nothing() -> None:
    """The error comes before anything is changed."""
    some = bus()
    with pytest.raises(PriorityError, match="priority 101"):
        some.add("EVENT", print, priority=101)
    assert some.order() == {}


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("filtered", [False, True])
def test_an_error_gets_the_note_of_its_handler(*, beside: bool, filtered: bool) -> None:
    """Alone or among others, with filters about or not, the right one is named."""
    some = bus()

    def burst() -> None:
        raise KeyError("x")

    when = Events.STARTED(once=1).when if filtered else None
    if beside:
        some.add("EVENT", lambda: None, args=(), name="calm", priority=10)
        some.add("EVENT", lambda: None, args=(), name="calm too", priority=90)
    some.add("EVENT", burst, args=(), name="burst", when=when)
    with pytest.raises(KeyError) as caught:
        some.fire("EVENT")
    assert getattr(caught.value, "__notes__", []) == ["in burst, iteration 7"]


def test_an_error_in_a_filter_names_its_handler() -> None:
    """A predicate is the user's code too."""
    some = bus()

    def test(_: object, count: int) -> float:
        return 1 / (count - 2)

    some.add("EVENT", lambda: None, args=(), name="other")
    some.add(
        "EVENT",
        lambda: None,
        args=(),
        name="mine",
        when=Events.STARTED(event_filter=test).when,
    )
    some.fire("EVENT")
    with pytest.raises(ZeroDivisionError) as caught:
        some.fire("EVENT")
    assert getattr(caught.value, "__notes__", []) == ["in mine, iteration 7"]


def test_a_predicate_is_asked_for_the_owner() -> None:
    """It gets the engine that the bus belongs to."""
    some = bus()
    owners: list[Any] = []

    def test(owner: object, _: int) -> bool:
        owners.append(owner)
        return True

    when = Events.STARTED(event_filter=test).when
    some.add("EVENT", lambda: None, args=(), when=when)
    some.fire("EVENT")
    assert owners == ["owner"]


def test_a_predicate_sees_what_the_handler_before_it_did() -> None:
    """Filters are asked one by one, as the event goes on."""
    some = bus()
    facts: list[int] = []
    calls: list[str] = []
    when = Events.STARTED(event_filter=lambda _, __: bool(facts)).when
    some.add("EVENT", facts.append, args=(1,))
    some.add("EVENT", calls.append, args=("seen",), when=when)
    some.fire("EVENT")
    assert calls == ["seen"]


def test_a_count_asks_filters_once_whoever_comes_and_goes() -> None:
    """A safe point comes twice at an epoch's end; who left in between changes nothing.

    With several ranks only one has a save in flight, whose handler goes when it is done.
    """
    some = bus()
    seen: list[str] = []
    when = Events.SAFE_POINT(every=2).when
    some.add("SAFE_POINT", lambda: seen.append("even"), args=(), when=when)
    some.add("SAFE_POINT", lambda: seen.append("each"), args=())
    other = some.add("SAFE_POINT", lambda: other.remove(), args=())
    for count in (1, 2, 2, 3, 4, 4):
        run = some.dispatcher("SAFE_POINT").run
        assert run is not None
        run((), count)
        if count == 2:
            other = some.add("SAFE_POINT", lambda: other.remove(), args=())
    assert seen.count("even") == 2
    assert seen.count("each") == 6


def test_counters_may_jump_back_after_rearming() -> None:
    """What was due next is forgotten: a new run counts from its own place."""
    some = bus()
    calls: list[int] = []
    run_count = 0
    some.add(
        "EVENT",
        lambda: calls.append(run_count),
        args=(),
        when=Events.STARTED(every=5).when,
    )
    dispatcher = some.dispatcher("EVENT")
    for counts in (range(1, 8), range(4, 11), range(1, 6)):
        some.rearm()
        for run_count in counts:
            assert dispatcher.run is not None
            dispatcher.run((), run_count)
    assert calls == [5, 5, 10, 5]


# -- how a handler wants to be called --------------------------------------------------


class Callable:
    """An object that can be called."""

    def __call__(self, engine: Any) -> None:
        """Do nothing."""

    def method(self) -> None:
        """Do nothing either."""


def _nothing() -> None: ...
def _engine(engine: Any) -> None: ...
def _anything(*args: Any) -> None: ...
def _default(number: int = 1) -> None: ...
def _one_more(engine: Any, more: Any) -> None: ...
def _by_name(engine: Any, *, name: Any) -> None: ...
def _named_engine(*, engine: Any) -> None: ...


@pytest.mark.parametrize(
    ("handler", "args", "kwargs", "wants"),
    [
        (_nothing, (), {}, False),
        (_engine, (), {}, True),
        (_engine, (1,), {}, False),
        (_anything, (), {}, True),
        (_default, (), {}, False),
        (_default, (2,), {}, False),
        (_one_more, (1,), {}, True),
        (_one_more, (), {"more": 1}, True),
        (_one_more, (), {"engine": 1, "more": 1}, False),
        (_by_name, (), {"name": 1}, True),
        (_named_engine, (), {"engine": 1}, False),
        (Callable(), (), {}, True),
        (Callable().method, (), {}, False),
        (dict, (), {}, False),
    ],
)
def test_a_handler_gets_the_engine_where_it_has_room(
    handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any], wants: bool
) -> None:
    """First positional parameter, no default, and the call fits."""
    assert bind(handler, "engine", "STARTED", args, kwargs) is wants


@pytest.mark.parametrize(
    ("handler", "args", "kwargs"),
    [
        (_nothing, (1,), {}),
        (_one_more, (), {}),
        (_by_name, (), {}),
        (_engine, (), {"nmae": 1}),
    ],
)
def test_a_handler_that_fits_neither_way_is_refused(
    handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """The error shows its name, its signature and the event."""
    with pytest.raises(EventError, match=rf"^{handler.__name__}\(.* handle STARTED: "):
        bind(handler, "engine", "STARTED", args, kwargs)
