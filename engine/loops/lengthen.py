"""A resumed run of another length: its schedules are settled before it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from engine.errors import ScheduleError
from engine.hooks import ParamSchedulerHook
from engine.optim.scheduler import (
    LengthChange,
    OnLonger,
    Place,
    Rehearsal,
    tabulate,
)

if TYPE_CHECKING:
    from engine.checkpoint import Parts
    from engine.state import Limits, RunState

__all__ = ["MadeSchedules"]


@frozen
class MadeSchedules:
    """A run's schedules as they were made, kept while their saved state is loaded.

    Args:
        fresh: Copies; or why there are none.
        on_longer: What the user wants of them in a run of another length.
    """

    fresh: Rehearsal | Exception
    on_longer: OnLonger | None

    @classmethod
    def of(cls, parts: Parts, on_longer: OnLonger | None) -> MadeSchedules | None:
        """What a run has now; ``None`` without schedules."""
        if not parts.param_schedulers:
            return None
        try:
            fresh: Rehearsal | Exception = Rehearsal(parts.param_schedulers)
        # A schedule of the user's may resist copying in any way. It is told once it
        # matters: a run of the same length needs no copy.
        except Exception as error:  # noqa: BLE001
            fresh = error
        return cls(fresh, on_longer)

    def settle(
        self, parts: Parts, state: RunState, limits: Limits, context: Any
    ) -> None:
        """Make the schedules fit a run's new length, if it has one, and log the curve.

        Args:
            parts: Their schedules and optimizer are changed.
            state: Where the run is; its limits are those it was saved with.
            limits: Those it goes on with.
            context: Whose logger and hooks are asked.

        Raises:
            ScheduleError: What the schedules are to do is not clear, or not possible.
        """
        old, new = _place(state, state.limits), _place(state, limits)
        bounds = [(one.max_epochs, one.max_iters) for one in (old, new)]
        if bounds[0] == bounds[1] or bounds[0] == (None, None):
            return
        logger = context.logger
        stepped = any(
            isinstance(hook, ParamSchedulerHook) for hook in context.hook_set.hooks
        )
        if isinstance(self.fresh, Exception) or not stepped:
            why = (
                f"they cannot be copied ({self.fresh})"
                if isinstance(self.fresh, Exception)
                else "no ParamSchedulerHook steps them"
            )
            if self.on_longer not in (None, "keep"):
                message = (
                    f"on_longer={self.on_longer!r}: the curve of this run's schedules "
                    f"is not known, for {why}. Choose 'keep', or set them by hand."
                )
                raise ScheduleError(message)
            logger.warning(
                "schedules_kept",
                line=f"The run was saved with {state.limits.describe()} and goes on to "
                f"{limits.describe()}. Its schedules stay as saved; what they do then "
                f"is not known here, for {why}.",
            )
            return
        change = LengthChange(parts.param_schedulers, self.fresh, old, new)
        policy = change.require_choice(self.on_longer)
        if policy is None:
            logger.info(
                "schedules_unaffected",
                line=f"The run was saved with {state.limits.describe()} and goes on to "
                f"{limits.describe()}: its schedules give the same values either way",
            )
            return
        rows = change.apply(policy)
        logger.info(
            "schedules_lengthened",
            line=f"The run was saved with {state.limits.describe()} and goes on to "
            f"{limits.describe()}; on_longer={policy!r} gives\n{tabulate(rows)}",
            on_longer=policy,
        )


def _place(state: RunState, limits: Limits) -> Place:
    done = state.progress
    return Place(
        epochs=0 if limits.max_iters is not None else done.epoch,
        iterations=done.iteration,
        epoch_iteration=done.epoch_iteration,
        epoch_length=limits.epoch_length or state.limits.epoch_length,
        max_epochs=limits.max_epochs,
        max_iters=limits.max_iters,
    )
