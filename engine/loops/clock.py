"""The only place that knows Ignite's counters.

Ignite counts from 1 while an iteration is under way, fires ``EPOCH_STARTED`` again when
it goes on inside an epoch, and takes the place in an epoch from the iteration's number.
``RunState`` counts finished work; here one becomes the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ignite.engine import Engine

    from engine.state import RunState

__all__ = ["Clock"]


class Clock:
    """Sets Ignite's counters from a run's state, and derives MMEngine's.

    Args:
        state: The run's.
    """

    __slots__ = ("closing_epoch", "closing_iteration", "state")

    def __init__(self, state: RunState) -> None:
        self.state = state
        # 1 while the handlers of a counted iteration or epoch run, else 0.
        self.closing_iteration = 0
        self.closing_epoch = 0

    @property
    def iter(self) -> int:
        """MMEngine's ``runner.iter``: index of the one in progress, or those done."""
        return self.state.progress.iteration - self.closing_iteration

    @property
    def epoch(self) -> int:
        """MMEngine's ``runner.epoch``: index of the one in progress, or those done."""
        return self.state.progress.epoch - self.closing_epoch

    @property
    def epoch_length(self) -> int | None:
        """Iterations in an epoch, as Ignite is to see it.

        A run bounded by iterations is one epoch of that length: Ignite's own
        ``max_iters`` ends without the last ``EPOCH_COMPLETED``.
        """
        limits = self.state.limits
        return limits.epoch_length if limits.max_iters is None else limits.max_iters

    @property
    def max_epochs(self) -> int | None:
        """Epochs, as Ignite is to see it."""
        limits = self.state.limits
        return limits.max_epochs if limits.max_iters is None else 1

    @property
    def epoch_is_over(self) -> bool:
        """Whether all iterations of the running epoch are done, or it was cut."""
        done = self.state.progress.epoch_iteration
        return bool(self.state.epoch_cut) or done == self.epoch_length

    def set_counters(self, trainer: Engine) -> None:
        """Let a trainer begin where the state is."""
        done = self.state.progress
        trainer.state.iteration = done.iteration
        trainer.state.epoch = done.epoch
        trainer.state.epoch_length = self.epoch_length
        trainer.state.max_epochs = self.max_epochs
        trainer.state.max_iters = None
        trainer._init_iter = done.epoch_iteration

    def show_epoch(self, trainer: Engine) -> None:
        """Let a trainer that is driven from outside begin an epoch."""
        trainer.state.epoch = self.state.progress.epoch + 1

    def show_iteration(self, trainer: Engine) -> None:
        """Let a trainer that is driven from outside begin an iteration."""
        trainer.state.iteration = self.state.progress.iteration + 1

    def skip_epoch(self, trainer: Engine) -> None:
        """Let a trainer that has not begun its loop take the running epoch as done."""
        trainer.state.epoch += 1
        trainer._init_iter = 0

    def set_evaluation(self, evaluator: Engine, length: int | None) -> None:
        """Let an evaluating engine begin one pass of ``length`` batches."""
        evaluator.state.iteration = 0
        evaluator.state.epoch = 0
        evaluator.state.epoch_length = length
        evaluator.state.max_epochs = 1
        evaluator.state.max_iters = None
        evaluator._init_iter = 0

    def go_on_evaluating(self, evaluator: Engine, done: int) -> None:
        """Let an evaluating engine that has begun its pass go on after some batches."""
        evaluator.state.iteration = done
        evaluator._init_iter = done
