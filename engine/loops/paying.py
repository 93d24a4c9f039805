"""What a trainer does between two iterations: it pays, heeds, and halts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import TYPE_CHECKING, Any

from engine.dist import gather_on_all, get_world_size
from engine.errors import MetricError, StateError
from engine.loops.council import Council
from engine.loops.dues import pay
from engine.loops.feed import Feed
from engine.loops.requests import Requests
from engine.loops.saved import SavedEngine
from engine.loops.spent import TimeSpent
from engine.loops.stops import Halt
from engine.loops.validation import Validations
from engine.state import DueKind, Phase, ResumeReport, capture_randomness, fence

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.events import Meter
    from engine.loops.evaluate import EvalEngine
    from engine.state import Due, RunState

__all__ = ["PayingEngine"]


class PayingEngine(SavedEngine):
    """Base of the trainer: its safe points, and what is asked for there.

    Args:
        step: ``step(trainer, batch) -> output``.
        state: Where the run is; ``None`` begins one with a drawn seed.
        context: What hooks get as ``runner``.
    """

    def __init__(
        self,
        step: Callable[[Any, Any], Any],
        state: RunState | None,
        context: Any,
    ) -> None:
        super().__init__(step, state, context)
        self.spent = TimeSpent()
        self.meter: Meter | None = None
        """Measures what is paid at safe points; ``None``: nobody wants to know."""
        self._validations = Validations(self.run_state, self.clock)
        self._requests = Requests()
        self._council: Council | None = None
        self._paused: dict[str, Any] = {}
        self._dispatch_safe_point = self.bus.dispatcher("SAFE_POINT")

    @abstractmethod
    def _on_epoch_completed(self) -> None:
        """Count the epoch, run its last handlers, and pay what is due then."""

    # -- stopping ----------------------------------------------------------------

    def stop(self, reason: str = "stop() was called") -> None:
        """End training after the running epoch, or iteration if bounded by those.

        What follows it (its handlers, a validation that is due) still takes place.
        """
        if self._council is not None:
            self._council.stop_reason = reason
            return
        self.run_state.stop_reason = reason
        self._requests.pending = True

    def terminate(self, skip_completed: bool = False) -> None:
        """End training at the next safe point, inside an epoch too.

        Args:
            skip_completed: Leave ``COMPLETED`` out.
        """
        self._asked.terminate = "skip_completed" if skip_completed else True
        self._asked.pending = True

    def terminate_epoch(self, skip_epoch_completed: bool = False) -> None:
        """End the running epoch at the next safe point; the rest of it is not read.

        Args:
            skip_epoch_completed: Leave ``EPOCH_COMPLETED`` out.
        """
        how = "skip_epoch_completed" if skip_epoch_completed else True
        self._asked.end_epoch = how
        self._asked.pending = True

    def interrupt(self, signal: int | None = None) -> None:
        """Halt at the next safe point; ``run()`` again goes on from there.

        Args:
            signal: Number of the signal that asked for it, for handlers.
        """
        self._asked.interrupt = (signal,)
        self._asked.pending = True

    @property
    def stop_training(self) -> bool:
        """MMEngine's name for asking to :meth:`stop`."""
        return self.run_state.stop_reason is not None

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        if value:
            self.stop("stop_training was set")
        else:
            self.run_state.stop_reason = None

    def _halt_soon(self) -> None:
        self._requests.halt_for(None)

    def _look_at_clock(self) -> None:
        if self.context.stops.asked:
            self._requests.halt_for(None)

    @property
    def _asked(self) -> Requests:
        """Where handlers ask: with several ranks, what all of them heed is agreed."""
        return self._requests if self._council is None else self._council.asked

    @property
    def council(self) -> Council | None:
        """How the run's ranks heed requests together; ``None`` for a process alone."""
        return self._council

    def _convene(self) -> None:
        """A run begins: with several ranks, let them agree from here on."""
        if get_world_size() == 1:
            self._council = None
            return
        self._buckets.watch()
        if not self.run_state.started:
            self._agree_on_seed()
        if self._council is None:
            self._council = Council(self._requests, self.context.stops, self.run_state)

    def _agree_on_seed(self) -> None:
        """Take rank 0's seed, if each rank has drawn its own.

        Raises:
            StateError: Seeds that were given differ.
        """
        told = gather_on_all((self.run_state.seed, self._drew_seed))
        seeds = [seed for seed, _ in told]
        if len(set(seeds)) == 1:
            return
        if not all(drawn for _, drawn in told):
            message = (
                f"the ranks have the seeds {seeds}, by rank, so they would read other "
                "samples than their shares: give the same RunState(seed=...) on all"
            )
            raise StateError(message)
        self.run_state.take_seed(seeds[0])

    def _agree(self) -> None:
        if self._council is not None:
            self._council.agree()

    # -- safe points -------------------------------------------------------------

    def _safe_point(self) -> None:
        """Between iterations: pay what is due, then stop if that was asked for."""
        self._at_safe_point = True
        self.rescue.moved_on()
        if self._dispatch_safe_point.run is not None:
            self._dispatch_safe_point.run((self.context,), self.run_state.iteration)
        self._pay_dues()

    def _pay_dues(self) -> None:
        """Pay what is due, then heed what was asked for."""
        state = self.run_state
        self._at_safe_point = True
        self._agree()
        if self._requests.pending:
            self._requests.settle(state)
        while state.due:
            due = state.due[0]
            if due.kind is DueKind.VALIDATION and self._requests.halts(state):
                break  # it stays owed
            if not self._pay(due):
                break
            self._agree()
            if self._requests.pending:  # a handler of a validation asked for it
                self._requests.settle(state)
        if self._requests.pending:
            self._heed()

    def _pay(self, due: Due) -> bool:
        """Pay one due; returns whether it is paid, or was left because of a stop."""
        began = perf_counter()
        try:
            with (
                self._measured(due),
                self.rescue.paying(),
                self.context.stops.leaving(),
                self.inside.paying(due.kind),
            ):
                pay(due, self.run_state, self._validations, self.context)
        except Halt:
            if self.inside.keeps_place:
                self.rescue.kept()
            else:
                self.rescue.left()
            if self.context.stops.asked:
                self._requests.halt_for(None)
            return False
        finally:
            gone = perf_counter() - began
            if due.kind is DueKind.VALIDATION:
                self.spent.validation += gone
            else:
                self.spent.saving += gone
        if due.kind is DueKind.VALIDATION:
            self.inside.done()
            self.rescue.moved_on()
        return True

    def _measured(self, due: Due) -> AbstractContextManager[None]:
        if self.meter is None:
            return nullcontext()
        return self.meter.measuring(due.kind.name.lower())

    def between_batches(self, validator: EvalEngine) -> None:
        """A validation is between two of its batches: save or stop if that is wanted.

        Where a metric cannot give its state, a save and an interrupt wait for the end
        of the validation, and a signal leaves it to begin again whole.

        Raises:
            Halt: The validation is left.
        """
        state, asked = self.run_state, self.context.stops.leaves
        saves = [due for due in state.due if due.kind is DueKind.SAVE]
        if self._council is not None:  # ranks need not be at the same batch
            saves = []
        leaves = asked or self._requests.halts(state)
        if not (leaves or saves):
            return
        place, why = None, ""
        try:
            place = validator.read_place()
        except MetricError as error:
            why = str(error)
        if saves and place is not None:
            with self.inside.being(place), validator.outside():
                for due in saves:
                    pay(due, state, self._validations, self.context)
        if asked or (leaves and place is not None):
            self.inside.leave(place, why)
            raise Halt

    def _heed(self) -> None:
        """Hand to Ignite's loop what was asked for and takes effect here."""
        state, requests = self.run_state, self._requests
        if requests.halts(state):
            self.should_interrupt = True
            if (
                requests.forced and state.due
            ):  # what else was asked for takes effect when that is paid
                return
        if requests.terminate:
            self.should_terminate = requests.terminate
        elif requests.stops_now(state):
            state.ended = True
            self.should_terminate = True
            if state.epoch_iteration:  # Ignite leaves the end of a cut epoch out
                self._on_epoch_completed()
        elif requests.end_epoch:
            self.should_terminate_single_epoch = requests.end_epoch
        requests.end_epoch = False
        # Not by one assignment: a signal may come between the two halves of it.
        requests.pending = False
        if state.stop_reason is not None or requests.interrupt is not None:
            requests.pending = True

    # -- halting -----------------------------------------------------------------

    def _on_interrupt(self) -> None:
        stops = self.context.stops
        (signal,) = self._requests.interrupt or (None,)
        forced = self._requests.forced
        self._requests.interrupt, self._requests.forced = None, False
        self._paused = capture_randomness()  # others may draw before it goes on
        self.run_state.move(Phase.INTERRUPTED)
        with fence():  # what handlers draw here, a resumed run does not draw again
            self.bus.fire("INTERRUPT", self.context, stops.signal if forced else signal)
        if forced:
            self._keep()

    def _after_turning(self) -> None:
        stops = self.context.stops
        if self._council is not None:
            self._council.end()
        if self._suspended and stops.signal is not None and not stops.halted:
            self._keep()  # it came while an interrupt() was heeded

    def _keep(self) -> None:
        stops = self.context.stops
        stops.halted = True
        stops.path = self.rescue.keep()
        self._let_workers_go()

    def _let_workers_go(self) -> None:
        """The run may never go on; if it does, it reads from its place anew."""
        feed, items = self.state.dataloader, self._dataloader_iter
        if not isinstance(feed, Feed) or not isinstance(items, Generator):
            return
        if not ResumeReport(feed.cursor.resume_report()).is_exact:
            return  # what is read now cannot be read again
        state = feed.state()
        items.close()
        feed.cursor.close()
        feed.cursor.load(state)
        self._dataloader_iter = iter(feed)
