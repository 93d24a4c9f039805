"""Handlers of one engine's events: sorted, filtered, and called without ceremony.

One :class:`Dispatcher` per event holds the handlers in the order in which they run. It
compiles them, whenever they change, into one function that does nothing but call them;
an event without handlers has none. Ignite sees a single call per event.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define, field

from engine.errors import EventError
from engine.events.filters import Filter
from engine.events.priority import Priority, describe_priority, get_priority

if TYPE_CHECKING:
    from engine.events.timeline import Meter

__all__ = ["Bus", "Dispatcher", "Handle", "Handler", "Run", "bind"]

Run: TypeAlias = Callable[[tuple[Any, ...], int], None]
"""A compiled event: gets what hook methods are called with, and the occurrence."""

# Call, its arguments (None: those of the occasion), the handler it stands for. A list,
# so that a handler that is removed while its event runs is gone at once.
_Entry: TypeAlias = list[Any]


@define(eq=False)
class Handler:
    """One callable on one event.

    Args:
        name: What errors and listings call it.
        call: What is called.
        priority: From 0, the first, to 100.
        serial: Rank among equal priorities: the order of registration.
        args: What it is called with; ``None``: the occasion's own arguments.
        when: On which occurrences it runs; ``None``: on each.
        original: What the user registered, to find it again.
    """

    name: str
    call: Callable[..., object]
    priority: int
    serial: int
    args: tuple[Any, ...] | None
    when: Filter | None
    original: object
    _entry: _Entry = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._entry = [self.call, self.args, self]

    @property
    def entry(self) -> _Entry:
        """What a dispatcher's loop unpacks."""
        return self._entry

    def silence(self) -> None:
        """Be called no more, also by a loop that is under way."""
        self._entry[0] = _nothing


@define(eq=False)
class Handle:
    """Removes handlers again, by :meth:`remove` or as a context manager."""

    removals: list[tuple[Dispatcher, Handler]]

    def remove(self) -> None:
        """Take the handlers away at once, also while their event runs."""
        for dispatcher, handler in self.removals:
            dispatcher.remove(handler)
        self.removals.clear()

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Dispatcher:
    """The handlers of one event, in order.

    Args:
        event: The event's name.
        owner: The engine; handed to predicates.
        place: Says where the run is, for the notes on errors.
    """

    __slots__ = (
        "_asked_at",
        "_owner",
        "_place",
        "changed",
        "event",
        "fired",
        "handlers",
        "meter",
        "run",
    )

    def __init__(self, event: str, owner: Any, place: Callable[[], str]) -> None:
        self.event = event
        self.meter: Meter | None = None
        self.handlers: tuple[Handler, ...] = ()
        self.run: Run | None = None
        self.fired = 0
        # Called when handlers come or go; for who fires the event only if one listens.
        self.changed: Callable[[], None] | None = None
        self._owner = owner
        self._place = place
        self._asked_at: int | None = None  # the count at which filters were asked last

    def add(self, handler: Handler) -> None:
        """Put the handler in its place; it runs from the next occurrence on."""
        self.handlers = tuple(
            sorted(
                (*self.handlers, handler), key=lambda one: (one.priority, one.serial)
            )
        )
        self.compile()

    def remove(self, handler: Handler) -> None:
        """Take the handler away at once."""
        handler.silence()
        self.handlers = tuple(one for one in self.handlers if one is not handler)
        self.compile()

    def rearm(self) -> None:
        """Forget when filtered handlers were due."""
        self._asked_at = None
        self.compile()

    def compile(self) -> None:
        """Make ``run`` anew.

        It asks each filter at its next occurrence; not at a count at which they have
        been asked already, as of a safe point at an epoch's end: whether a handler came
        or went in between must make no difference to the others.
        """
        if not self.handlers:
            self.run = None
        elif all(one.when is None for one in self.handlers):
            self.run = self._compile_plain()
        else:
            self.run = self._compile_filtered()
        if self.meter is not None:
            self.run = self.meter.marked(self.event, self.run)
        if self.changed is not None:
            self.changed()

    def _compile_plain(self) -> Run:
        entries = tuple(self._entry(one) for one in self.handlers)
        annotate = self._annotate
        if len(entries) == 1:  # no loop for the most frequent case
            entry = entries[0]

            def run_one(occasion: tuple[Any, ...], _: int) -> None:
                call, args, handler = entry
                try:
                    call(*(occasion if args is None else args))
                except BaseException as error:
                    annotate(error, handler)
                    raise

            return run_one

        def run(occasion: tuple[Any, ...], _: int) -> None:
            handler = None
            try:
                for call, args, handler in entries:  # noqa: B007 - for the note
                    call(*(occasion if args is None else args))
            except BaseException as error:
                annotate(error, handler)
                raise

        return run

    def _compile_filtered(self) -> Run:
        handlers, owner, annotate = self.handlers, self._owner, self._annotate
        entry_of = {one.serial: self._entry(one) for one in handlers}
        always = tuple(entry_of[one.serial] for one in handlers if one.when is None)
        next_due = -math.inf  # unknown until the first occurrence tells its count
        settled = self._asked_at
        asked: Handler | None = None  # whose filter is being asked

        def due_now(count: int) -> Iterable[_Entry]:
            nonlocal next_due, asked
            waiting = [one.when for one in handlers if one.when is not None]
            next_due = min(when.next_due(count + 1) for when in waiting)
            if count == settled:
                yield from always
                return
            self._asked_at = count
            # One by one: a filter sees what the handlers before it have done.
            for asked in handlers:
                if asked.when is None or asked.when.due(owner, count):
                    yield entry_of[asked.serial]

        def run(occasion: tuple[Any, ...], count: int) -> None:
            handler = None
            try:
                if count < next_due:
                    for call, args, handler in always:  # noqa: B007 - likewise
                        call(*(occasion if args is None else args))
                else:
                    for call, args, _ in due_now(count):
                        call(*(occasion if args is None else args))
            except BaseException as error:
                annotate(error, asked if handler is None else handler)
                raise

        return run

    def _entry(self, handler: Handler) -> _Entry:
        """What the compiled event unpacks for a handler."""
        if self.meter is None:
            return handler.entry

        def call(*args: object) -> object:  # a handler that is silenced stays so
            return handler.entry[0](*args)

        timed = self.meter.timed(self.event, handler.name, call)
        return [timed, handler.args, handler]

    def _annotate(self, error: BaseException, handler: Handler | None) -> None:
        if handler is not None:
            error.add_note(f"in {handler.name}, {self._place()}")


class Bus:
    """All events of one engine.

    Args:
        owner: The engine; its handlers are called with it.
        place: Says where the run is, as in ``"iteration 37"``.
    """

    def __init__(self, owner: Any, place: Callable[[], str]) -> None:
        self._owner = owner
        self._place = place
        self._dispatchers: dict[str, Dispatcher] = {}
        self._serial = 0
        self._meter: Meter | None = None

    def dispatcher(self, event: str) -> Dispatcher:
        """The one dispatcher of ``event``; it stays the same object for good."""
        found = self._dispatchers.get(event)
        if found is None:
            found = Dispatcher(event, self._owner, self._place)
            self._dispatchers[event] = found
            if self._meter is not None:
                found.meter = self._meter
                found.compile()
        return found

    def measure_with(self, meter: Meter | None) -> None:
        """Measure each handler from now on; ``None`` ends it.

        It costs nothing afterwards: events are compiled anew.
        """
        self._meter = meter
        for dispatcher in self._dispatchers.values():
            dispatcher.meter = meter
            dispatcher.compile()

    def add(
        self,
        event: str,
        call: Callable[..., object],
        *,
        priority: int | str | Priority = Priority.NORMAL,
        name: str | None = None,
        args: tuple[Any, ...] | None = None,
        when: Filter | None = None,
        original: object = None,
    ) -> Handle:
        """Register a callable.

        Args:
            event: The event's name.
            call: Called with ``args``.
            priority: When it runs among the others.
            name: What errors call it; default: its qualified name and the event.
            args: Arguments; ``None``: what the occasion has (hook methods).
            when: On which occurrences; ``None``: on each.
            original: What :meth:`find` knows it by; default: ``call``.

        Raises:
            PriorityError: The priority is none.
        """
        dispatcher = self.dispatcher(event)
        handler = Handler(
            name=name or f"{describe_callable(call)} on {event}",
            call=call,
            priority=get_priority(priority),
            serial=self._serial,
            args=args,
            when=when,
            original=call if original is None else original,
        )
        self._serial += 1
        dispatcher.add(handler)
        return Handle([(dispatcher, handler)])

    def fire(self, event: str, *occasion: Any) -> None:
        """Run the handlers of an event that has no counter of its own.

        Filters see how often it was fired on this engine.
        """
        dispatcher = self._dispatchers.get(event)
        if dispatcher is not None:
            dispatcher.fired += 1
            if dispatcher.run is not None:
                dispatcher.run(occasion, dispatcher.fired)

    def rearm(self) -> None:
        """Forget when filtered handlers were due: counters may have jumped."""
        for dispatcher in self._dispatchers.values():
            dispatcher.rearm()

    def find(self, original: object, event: str | None = None) -> Handle:
        """A handle of every registration of ``original``, on ``event`` or anywhere."""
        return Handle(
            [
                (dispatcher, handler)
                for name, dispatcher in self._dispatchers.items()
                for handler in dispatcher.handlers
                if event in (None, name) and handler.original == original
            ]
        )

    def has(self, original: object, event: str | None = None) -> bool:
        """Whether ``original`` is registered, on ``event`` or anywhere."""
        return any(
            handler.original == original
            for name, dispatcher in self._dispatchers.items()
            for handler in dispatcher.handlers
            if event in (None, name)
        )

    def order(self) -> dict[str, list[tuple[str, str]]]:
        """For each event with handlers their (priority, name) in running order."""
        return {
            event: [(describe_priority(one.priority), one.name) for one in d.handlers]
            for event, d in self._dispatchers.items()
            if d.handlers
        }


def bind(
    handler: Callable[..., object],
    owner: Any,
    event: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    occasion: int = 0,
) -> bool:
    """Whether an Ignite-style handler wants the engine as its first argument.

    It does if its first positional parameter has no default and the call fits with the
    engine in front. A default is never overwritten by the engine.

    Args:
        handler: The callable.
        owner: The engine.
        event: The event's name, for the message.
        args: Further arguments given at registration.
        kwargs: Keyword arguments given at registration.
        occasion: How many arguments the event itself passes.

    Raises:
        EventError: The call fits neither way.
    """
    try:
        signature = inspect.signature(handler)
    except ValueError:  # a builtin without one
        return False
    passed = (None,) * occasion + args
    first = next(iter(signature.parameters.values()), None)
    positional = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    takes_first = (
        first is not None
        and first.kind in positional
        and first.default is inspect.Parameter.empty
        and first.name not in kwargs
    )
    if takes_first and _fits(signature, (owner, *passed), kwargs):
        return True
    if _fits(signature, passed, kwargs):
        return False
    message = (
        f"{describe_callable(handler)}{signature} cannot handle {event}: it would be "
        f"called with the engine, or without, and {len(passed)} further arguments"
        f"{f' and {sorted(kwargs)}' if kwargs else ''}"
    )
    raise EventError(message)


def _fits(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:  # bind's only way to say no; nothing of the user's runs
        return False
    return True


def describe_callable(call: Callable[..., object]) -> str:
    """A name for a callable that a person recognizes.

    A lambda goes by the function that it stands in.

    >>> def outer():
    ...     def inner(): ...
    ...
    ...     return inner, lambda: 0
    >>> [describe_callable(one) for one in (*outer(), print)]
    ['outer.inner', 'outer', 'print']
    """
    name = str(getattr(call, "__qualname__", "") or type(call).__qualname__)
    return name.removesuffix(".<locals>.<lambda>").replace(".<locals>", "")


def _nothing(*_: object) -> None:
    """Stands in for a handler that was removed while its event ran."""
