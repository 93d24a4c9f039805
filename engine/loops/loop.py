"""An Ignite engine whose events run on our bus."""

from __future__ import annotations

import functools
import logging
from abc import abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ignite.engine import State
from ignite.engine.events import EventsList

from engine.dist import get_world_size
from engine.dist.failure import naming_failed_ranks
from engine.errors import EventError, amount, did_you_mean
from engine.events import Bus, Events, FilteredEvent, Handle, Priority, bind
from engine.events.filters import Filter, Predicate
from engine.loops.inner_loop import InnerLoop
from engine.loops.stops import Halt
from engine.state import RunState, draw_seed, fence, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["EventEngine"]

# How many arguments an event itself passes on, beside the engine.
_OCCASION = {
    "EXCEPTION_RAISED": 1,
    "TERMINATE_SINGLE_EPOCH": 1,
    "CHECKPOINT_SAVING": 1,
    "CHECKPOINT_LOADED": 1,
}

# Ignite reports each error through logging, twice, before it raises it.
_SILENT = logging.getLogger("engine.ignite")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
_SILENT.setLevel(logging.CRITICAL + 1)


class EventEngine(InnerLoop):
    """Base of the trainer and of the validator and tester.

    Args:
        step: ``step(engine, batch) -> output``, called for each batch.
        state: Where the run is; ``None`` begins one with a drawn seed.
    """

    def __init__(
        self,
        step: Callable[[Any, Any], Any],
        state: RunState | None = None,
    ) -> None:
        super().__init__(step)
        self.logger = _SILENT
        self._drew_seed = state is None
        self.run_state = RunState(seed=draw_seed()) if state is None else state
        self.bus = Bus(self, self._place)
        self.context: Any = None
        self._leading = False
        self._default_priority = Priority.NORMAL
        # What is done when Ignite fires an event, by its name; subclasses say.
        self._acts: dict[str, Callable[..., None]] = {}
        self.register_events(
            *(event for event in Events if event not in self._allowed_events)
        )

    # -- what subclasses say -----------------------------------------------------

    @abstractmethod
    def _place(self) -> str:
        """Where the run is, for notes on errors."""

    # -- registration ------------------------------------------------------------

    def add_event_handler(  # type: ignore[override]  # Handle does what Ignite's does
        self,
        event_name: Any,
        handler: Callable[..., Any],
        *args: Any,
        priority: int | str | Priority | None = None,
        **kwargs: Any,
    ) -> Handle:
        """Attach a handler to an event, or to several joined by ``|``.

        Args:
            event_name: A member of ``Events`` (ours or Ignite's), one with a filter, a
                custom event, or several.
            handler: Called with this engine if its first parameter has no default,
                then with ``args`` and ``kwargs``.
            args: Further arguments.
            priority: When it runs among the others, NORMAL if not given; equal ones
                in order of registration.
            kwargs: Further keyword arguments.

        Returns:
            A handle that removes it again, also while the event runs.

        Raises:
            EventError: The event is not known, or the handler cannot be called so.
            PriorityError: The priority is none.
        """
        if isinstance(event_name, EventsList):
            handles = [
                self.add_event_handler(one, handler, *args, priority=priority, **kwargs)
                for one in event_name
            ]
            return Handle([pair for one in handles for pair in one.removals])
        self._assert_allowed_event(event_name)
        event = _key(event_name)
        passed = _OCCASION.get(event, 0)
        wants = bind(handler, self, event, args, kwargs, passed)
        front = (self,) if wants else ()
        call = functools.partial(handler, **kwargs) if kwargs else handler
        if passed:
            call, fixed = _with_occasion(call, front, args), None
        else:
            fixed = (*front, *args)
        return self.bus.add(
            event,
            call,
            priority=self._default_priority if priority is None else priority,
            name=f"{getattr(handler, '__qualname__', type(handler).__qualname__)}"
            f" on {event}",
            args=fixed,
            when=_filter_of(event_name),
            original=handler,
        )

    def on(
        self,
        event_name: Any,
        *args: Any,
        priority: int | str | Priority | None = None,
        **kwargs: Any,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorator form of :meth:`add_event_handler`; returns the function itself."""

        def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
            self.add_event_handler(
                event_name, handler, *args, priority=priority, **kwargs
            )
            return handler

        return decorate

    def has_event_handler(
        self, handler: Callable[..., Any], event_name: Any | None = None
    ) -> bool:
        """Whether the handler is attached, to that event or to any."""
        return self.bus.has(handler, None if event_name is None else _key(event_name))

    def remove_event_handler(
        self, handler: Callable[..., Any], event_name: Any
    ) -> None:
        """Take a handler off an event.

        Raises:
            EventError: It is not attached to it.
        """
        handle = self.bus.find(handler, _key(event_name))
        if not handle.removals:
            message = f"{handler!r} is not attached to {_key(event_name)}"
            raise EventError(message)
        handle.remove()

    def _assert_allowed_event(self, event_name: Any) -> None:
        if event_name not in self._allowed_events:
            known = [_key(event) for event in self._allowed_events]
            name = str(_key(event_name))
            message = (
                f"{type(self).__name__} has no event {name!r}."
                f"{did_you_mean(name, known)} Events of your own are made known by "
                "register_events()."
            )
            raise EventError(message)

    # -- firing ------------------------------------------------------------------

    def _fire_event(
        self, event_name: Any, *event_args: Any, **event_kwargs: Any
    ) -> None:
        # Ignite's outer loop calls this, at the ends of runs and epochs.
        self.last_event_name = event_name
        act = self._acts.get(_key(event_name))
        if act is not None:
            act(*event_args, **event_kwargs)
        else:
            self._fire_other(_key(event_name), *event_args)

    def _fire_other(self, event: str, *occasion: Any) -> None:
        attribute = State.event_to_attr.get(event)
        if attribute is None:
            self.bus.fire(event, self.context, *occasion)
            return
        run = self.bus.dispatcher(event).run  # a custom event with a counter
        if run is not None:
            run((self.context, *occasion), getattr(self.state, attribute))

    def _run_handlers(self, event: str, *occasion: Any) -> None:
        """Run the handlers of an event that counts iterations or epochs."""
        run = self.bus.dispatcher(event).run
        if run is not None:
            run((self.context, *occasion), self._count(event))

    def _handle_exception(self, e: BaseException) -> None:
        # Handlers of EXCEPTION_RAISED run in leading(), once, and cannot swallow it.
        raise e

    # -- leading a run -----------------------------------------------------------

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Be the engine of a call of train, val or test: run its first and last events.

        Nested uses, as in a Runner that loads a checkpoint before its loop, are one.
        An error runs the handlers of ``EXCEPTION_RAISED`` and reaches the caller; where
        another rank has broken a collective, as an error that names the rank.
        """
        if self._leading:
            yield
            return
        self._leading = True
        stops = self.context.stops
        stops.together = get_world_size() > 1
        try:
            if stops.watched:  # val() in a hook of training, which hears of all that
                self.bus.rearm()
                yield from self._first_and_last()
                return
            with (
                naming_failed_ranks(),
                stops.watching(self._halt_soon),
                running(self.context),
            ):
                self.bus.rearm()
                with self._errors_told():
                    yield from self._first_and_last()
        finally:
            self._leading = False
        stops.check(self.run_state, self._done_so_far())

    def _first_and_last(self) -> Iterator[None]:
        self.bus.fire("RUN_STARTED", self.context)
        yield
        self._after_turning()
        if not self.context.stops.halted and not self._suspended:
            self.bus.fire("RUN_COMPLETED", self.context)

    def _after_turning(self) -> None:
        """The loop has ended or halted; before the last event of the call."""

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        try:
            yield
        except Halt:  # a validation or a test alone
            self.context.stops.halted = True
            self.bus.fire("INTERRUPT", self.context, self.context.stops.signal)
        except BaseException as error:
            self.run_state.fail()
            try:
                try:
                    with fence():  # the state that is kept is that of before it
                        self.bus.fire("EXCEPTION_RAISED", self.context, error)
                finally:
                    self._after_failure(error)
            except BaseException as another:
                if another is not error:
                    raise another from error
            raise

    def _after_failure(self, error: BaseException) -> None:
        """An error ends the run, its handlers have run: keep what can be kept."""

    def _halt_soon(self) -> None:
        """A signal came: note what the loop is to heed; called between instructions."""

    def _done_so_far(self) -> str:
        """What was done, for the message of a run that was stopped."""
        done = self.run_state.progress
        return (
            f"after {amount(done.iteration, 'iteration')} "
            f"({amount(done.epoch, 'epoch')} and "
            f"{amount(done.epoch_iteration, 'iteration')})"
        )

    @property
    def _suspended(self) -> bool:
        """Whether the loop was interrupted and waits to go on."""
        return self._internal_run_generator is not None

    def _turn(self) -> None:
        """Let Ignite's loop run until it ends or is interrupted."""
        try:
            self._internal_run()
        except BaseException:
            self._internal_run_generator = None
            self._dataloader_iter = None
            raise


def _key(event: Any) -> str:
    return str(getattr(event, "_name_", event))


def _filter_of(event: Any) -> Filter | None:
    if isinstance(event, FilteredEvent):
        return event.when
    theirs = getattr(event, "filter", None)  # one that Ignite's own Events made
    return None if theirs is None else Predicate(theirs)


def _with_occasion(
    handler: Callable[..., Any], front: tuple[Any, ...], args: tuple[Any, ...]
) -> Callable[..., Any]:
    def call(_: object, *occasion: Any) -> Any:
        return handler(*front, *occasion, *args)

    return call
