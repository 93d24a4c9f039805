"""The events, and the loop that fires them.

The whole loop, each event in its place; hook methods beside the events::

    RUN_STARTED                                   before_run
    (weights are initialized, loaded or resumed)
        CHECKPOINT_LOADED                         after_load_checkpoint
    STARTED                                       before_train
    pay what is due                               (after a resume)
    for each epoch:
        EPOCH_STARTED                             before_train_epoch
        for each batch:
            GET_BATCH_STARTED
            fetch the batch
            GET_BATCH_COMPLETED
            ITERATION_STARTED                     before_train_iter
            step:
                OPTIMIZER_STEP_STARTED            before_optimizer_step
                optimizer.step()
                OPTIMIZER_STEP_COMPLETED          after_optimizer_step
            count the iteration
            ITERATION_COMPLETED                   after_train_iter
            safe point
        count the epoch
        EPOCH_COMPLETED                           after_train_epoch
        safe point
    COMPLETED                                     after_train
    safe point
    RUN_COMPLETED                                 after_run

    at a safe point:
        SAFE_POINT                                on_safe_point
        pay what is due, in this order:
            save:
                CHECKPOINT_SAVING                 before_save_checkpoint
            validate, on the validator:
                STARTED                           before_val
                EPOCH_STARTED                     before_val_epoch
                for each batch:
                    ITERATION_STARTED             before_val_iter
                    val_step
                    ITERATION_COMPLETED           after_val_iter
                    safe point: saves, signals, interrupts
                EPOCH_COMPLETED                   after_val_epoch
                COMPLETED                         after_val
            save the best
        stop, if that was asked for               TERMINATE
        halt, if that was asked for:
            INTERRUPT                             on_interrupt
            save, if a signal or the clock asked

    a signal in a validation or a test alone leaves it after its batch:
        INTERRUPT                                 on_interrupt

    an error anywhere reaches the caller, after:
        EXCEPTION_RAISED                          on_exception
        what can be kept of the run is saved

On the tester the same as on the validator, with ``test`` in the hooks' names.
Validation that is due by iteration is paid at the iteration's safe point, by epoch at
the epoch's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ignite.engine import EventEnum
from ignite.engine.events import CallableEventWithFilter

from engine.events.filters import Filter, make_filter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Events", "FilteredEvent"]


class FilteredEvent(CallableEventWithFilter):
    """An event with a filter; made by calling a member of :class:`Events`.

    Stock Ignite engines take it too.
    """

    def __init__(self, value: str, name: str, when: Filter | None) -> None:
        super().__init__(value, None if when is None else when.due, name)
        self.when = when


class Events(EventEnum):
    """All events: Ignite's, which compare equal to Ignite's own members, and ours."""

    STARTED = "started"
    """An engine begins."""
    COMPLETED = "completed"
    """An engine is done."""
    EPOCH_STARTED = "epoch_started"
    """An epoch begins."""
    EPOCH_COMPLETED = "epoch_completed"
    """An epoch is done and counted."""
    ITERATION_STARTED = "iteration_started"
    """A batch is there, the step comes next."""
    ITERATION_COMPLETED = "iteration_completed"
    """The step is done and counted."""
    GET_BATCH_STARTED = "get_batch_started"
    """A batch is fetched next."""
    GET_BATCH_COMPLETED = "get_batch_completed"
    """A batch was fetched."""
    DATALOADER_STOP_ITERATION = "dataloader_stop_iteration"
    """A pass over the data ended; the next one begins."""
    EXCEPTION_RAISED = "exception_raised"
    """An error ends the run; handlers get it and cannot hold it up."""
    TERMINATE = "terminate"
    """``terminate()`` takes effect."""
    TERMINATE_SINGLE_EPOCH = "terminate_single_epoch"
    """``terminate_epoch()`` takes effect."""
    INTERRUPT = "interrupt"
    """``interrupt()`` takes effect."""

    RUN_STARTED = "run_started"
    """A call of train, val or test begins; fired on the engine that leads it."""
    RUN_COMPLETED = "run_completed"
    """That call is done."""
    SAFE_POINT = "safe_point"
    """Between two iterations of training: all state is consistent."""
    OPTIMIZER_STEP_STARTED = "optimizer_step_started"
    """A tracked optimizer is about to step; gradients are final."""
    OPTIMIZER_STEP_COMPLETED = "optimizer_step_completed"
    """A tracked optimizer has stepped."""
    CHECKPOINT_SAVING = "checkpoint_saving"
    """A checkpoint was put together; handlers get it and may add to it."""
    CHECKPOINT_LOADED = "checkpoint_loaded"
    """A checkpoint was read; handlers get it before it is put back."""

    TRAIN_STARTED = "started"
    """The trainer's ``STARTED`` under the name of its hook."""
    TRAIN_COMPLETED = "completed"
    """The trainer's ``COMPLETED`` under the name of its hook."""

    def __call__(
        self,
        event_filter: Callable[[Any, int], object] | None = None,
        every: int | None = None,
        once: int | Sequence[int] | None = None,
        before: int | None = None,
        after: int | None = None,
    ) -> FilteredEvent:
        """This event, on chosen occurrences only.

        Args:
            event_filter: ``(trainer, count) -> bool``, asked each time.
            every: Each so many, at least 1.
            once: One occurrence, or several, counted from 1.
            before: Only those before this one.
            after: Only those after this one.

        Raises:
            EventError: Arguments exclude each other, or one is out of range.

        >>> Events.EPOCH_COMPLETED(every=3).when.next_due(4)
        6
        """
        when = make_filter(event_filter, every, once, before, after)
        return FilteredEvent(self.value, self.name, when)
