"""What handlers and signals ask of a trainer, until a safe point heeds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from engine.state import RunState

__all__ = ["Requests"]


@define
class Requests:
    """Requests that wait for a safe point.

    Args:
        pending: Whether there is any; the one thing that is asked per iteration.
        terminate: End training; ``"skip_completed"`` leaves ``COMPLETED`` out.
        end_epoch: End the epoch; ``"skip_epoch_completed"`` leaves its event out.
        interrupt: Halt; holds the signal that asked for it, if one did.
        forced: Whether what asks for a halt is a signal or the clock: it takes effect
            also where the run ends, if something is still due there.
    """

    pending: bool = False
    terminate: bool | str = False
    end_epoch: bool | str = False
    interrupt: tuple[int | None] | None = None
    forced: bool = False

    def halt_for(self, signal: int | None) -> None:
        """Ask for a halt that does not wait; a handler of a signal may call this."""
        self.interrupt = (signal,)
        self.forced = True
        self.pending = True  # last: who looks at it finds the others set

    def clear(self, state: RunState, *, going_back: bool = False) -> None:
        """Forget what was asked before a run began, or before it went back.

        A stop is part of the run's state. An interrupt is nobody's who would ask for
        it again where a run goes back.
        """
        self.terminate = self.end_epoch = False
        if not going_back:
            self.interrupt, self.forced = None, False
        self.pending = state.stop_reason is not None or self.interrupt is not None

    def settle(self, state: RunState) -> None:
        """Note in the state what ends here, before anything is saved of it."""
        if self.end_epoch:
            self._settle_epoch(state)
        if self.terminate:
            state.stop_reason = state.stop_reason or "terminate() was called"
            state.ended = True

    def _settle_epoch(self, state: RunState) -> None:
        if state.limits.max_iters is None:
            if state.epoch_iteration == 0:  # between two epochs there is none to end
                self.end_epoch = False
            else:
                state.epoch_cut = "end" if self.end_epoch is True else "skip"
            return
        if self.end_epoch == "skip_epoch_completed":  # its one epoch is the run
            self.terminate = self.terminate or True
        else:
            state.stop_reason = state.stop_reason or "terminate_epoch() was called"
        self.end_epoch = False

    def halts(self, state: RunState) -> bool:
        """Whether an interrupt takes effect: not where the run ends anyway."""
        ends = self.terminate or self.stops_now(state) or state.ended
        if self.forced and state.due:
            return True
        return self.interrupt is not None and not ends

    def stops_now(self, state: RunState) -> bool:
        """Whether a stop takes effect: an epoch that is counted goes on to its end."""
        if state.stop_reason is None or state.ended:
            return False
        return state.limits.max_iters is not None or state.epoch_iteration == 0
