"""Counts the steps of a run's optimizers and fires their events."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.checkpoint import Parts
    from engine.events import Bus
    from engine.state import Progress

__all__ = ["watch_optimizers"]


@contextmanager
def watch_optimizers(
    parts: Parts, progress: Progress, bus: Bus, context: Any
) -> Iterator[None]:
    """While the body runs, count each ``optimizer.step()`` of a tracked optimizer.

    ``OPTIMIZER_STEP_STARTED`` fires before it, ``OPTIMIZER_STEP_COMPLETED`` after it,
    through torch's own step hooks, whoever calls the step.
    """
    before = bus.dispatcher("OPTIMIZER_STEP_STARTED")
    after = bus.dispatcher("OPTIMIZER_STEP_COMPLETED")
    optimizers = list(parts.optimizers())
    listening: list[Any] = []

    def started(*_: object) -> None:
        if before.run is not None:
            before.run((context,), progress.optimizer_steps + 1)

    def completed(*_: object) -> None:
        progress.optimizer_steps += 1
        parts.last_step = progress.iteration
        if after.run is not None:
            after.run((context,), progress.optimizer_steps)

    def listen() -> None:  # before each step only while somebody wants to know
        if before.run is not None and not listening:
            listening.extend(one.register_step_pre_hook(started) for one in optimizers)

    handles = [one.register_step_post_hook(completed) for one in optimizers]
    before.changed = listen
    listen()
    try:
        yield
    finally:
        before.changed = None
        for handle in [*handles, *listening]:
            handle.remove()
