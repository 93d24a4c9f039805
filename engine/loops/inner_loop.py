"""An Ignite engine whose loop over the batches of an epoch is ours."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from ignite.engine import Engine, State

from engine.dataset import signals_held
from engine.events import Events

if TYPE_CHECKING:
    from collections.abc import Generator

    from engine.events import Bus

__all__ = ["InnerLoop"]

_END = object()  # what the data gives when it has no more


class InnerLoop(Engine, ABC):
    """Ignite's engine with an inner loop that does only what is asked for.

    Ignite's own enters five generators at each batch and fires four events whether
    anybody listens or not. The outer loop, over epochs, is Ignite's; so are ``run``'s
    state and all that handlers see of it.
    """

    bus: Bus
    context: Any

    @abstractmethod
    def _count(self, event: str) -> int:
        """Which occurrence of an event with a counter this is, from 1."""

    @abstractmethod
    def _on_iteration_started(self) -> None:
        """A batch is there: run the handlers."""

    @abstractmethod
    def _on_iteration_completed(self) -> None:
        """The step is done: count it, run the handlers."""

    def _setup_dataloader_iter(self) -> None:
        with signals_held():  # it may start workers
            super()._setup_dataloader_iter()

    def _restart_data(self) -> None:
        """The data has no more, the epoch goes on: begin another pass over it."""
        self._fire_event(Events.DATALOADER_STOP_ITERATION)
        self._setup_dataloader_iter()

    def _run_once_on_dataset_as_gen(self) -> Generator[State, None, float]:
        # Ignite's outer loop calls this for each epoch, and lets through what it yields
        # when it is interrupted.
        began = time.time()
        state, step = self.state, self._process_function
        fetching = self.bus.dispatcher("GET_BATCH_STARTED")
        fetched = self.bus.dispatcher("GET_BATCH_COMPLETED")
        length = state.epoch_length
        count, self._init_iter = self._init_iter or 0, None
        restarted = False
        while True:
            if fetching.run is not None and not restarted:
                fetching.run((self.context,), self._count("GET_BATCH_STARTED"))
            assert self._dataloader_iter is not None
            batch: Any = next(self._dataloader_iter, _END)
            restarted = batch is _END
            if restarted:
                if length is None:  # the first end of data without a length tells it
                    state.epoch_length = count
                    break
                self._restart_data()
                continue
            state.batch, state.output = batch, None
            if fetched.run is not None:
                fetched.run((self.context,), self._count("GET_BATCH_COMPLETED"))
            state.iteration += 1
            self._on_iteration_started()
            state.output = step(self, state.batch)
            self._on_iteration_completed()
            count += 1
            cut = self.should_terminate_single_epoch
            while not cut and (self.should_terminate or self.should_interrupt):
                yield from self._maybe_terminate_or_interrupt()
                # What was owed when it was interrupted may have asked for more.
                cut = self.should_terminate_single_epoch
            if cut:
                self._fire_event(Events.TERMINATE_SINGLE_EPOCH, count)
                self._setup_dataloader_iter()
                break
            if count == length:
                break
        return time.time() - began
