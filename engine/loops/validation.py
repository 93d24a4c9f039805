"""When a trainer validates, and how it is owed and paid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.state import DueKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.loops.clock import Clock
    from engine.loops.interval import ValidationPlan
    from engine.state import RunState

__all__ = ["VALIDATION", "Validations"]

VALIDATION = "validation"
"""Owner of the dues that the trainer itself pays."""


class Validations:
    """The validations inside one training run.

    Args:
        state: The run's; what is due is noted there.
        clock: Knows the run's length as the loop sees it.
    """

    def __init__(self, state: RunState, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._plan: ValidationPlan | None = None
        self._at_start = False
        self.run: Callable[[], object] | None = None
        # The next iteration that a validation follows; 0: none does.
        self.next_iteration = 0

    def plan(
        self, validate: Callable[[], object], plan: ValidationPlan, *, at_start: bool
    ) -> None:
        """Say what a validation is, and when it is due."""
        self.run, self._plan, self._at_start = validate, plan, at_start

    def begin(self, *, first: bool) -> None:
        """Training begins, for the ``first`` time in this run or after a resume."""
        if first and self._at_start:
            self._owe()
        self.find_next()

    def after_iteration(self) -> None:
        """The iteration that ``next_iteration`` named is done."""
        self._owe()
        self.find_next()

    def after_epoch(self) -> None:
        """An epoch is done."""
        plan, state = self._plan, self._state
        if plan is None or not plan.by_epoch:
            return
        if plan.due(state.epoch, total=state.limits.max_epochs):
            self._owe()

    def find_next(self) -> None:
        """Look ahead for the next iteration that a validation follows."""
        self.next_iteration = 0
        plan, state = self._plan, self._state
        if plan is None or plan.by_epoch:
            return
        total = self._clock.epoch_length
        if total is not None and state.limits.max_iters is None:
            total = total * (state.limits.max_epochs or 1) - state.iterations_left_out
        step = max(state.iteration + 1, plan.begin)
        while total is None or step <= total:
            if plan.due(step, total=total):
                self.next_iteration = step
                return
            step += 1

    def _owe(self) -> None:
        self._state.owe(DueKind.VALIDATION, VALIDATION)
