"""The last line of a run's log says how it ended."""

from __future__ import annotations

from contextlib import contextmanager
from traceback import format_exc
from typing import TYPE_CHECKING, Any

from engine.errors import RunInterrupted, amount
from engine.state import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["telling_the_end"]


@contextmanager
def telling_the_end(runner: Any) -> Iterator[None]:
    """Log how the training in the body ends: an error, an interrupt, or its bound."""
    try:
        yield
    except RunInterrupted as error:
        _tell(runner, "interrupted", error.cause)
        raise
    except BaseException as error:
        # Whoever catches it shows it on the console: the traceback is for the file.
        runner.logger.error(  # noqa: TRY400
            "run_failed",
            line=f"The run failed after {amount(runner.state.iteration, 'iteration')}",
            error=f"{type(error).__name__}: {error}",
            traceback=format_exc(),
            **_place(runner),
        )
        raise
    state = runner.state
    if state.phase is Phase.INTERRUPTED:
        _tell(runner, "interrupted", "")
    elif state.stop_reason is not None:
        _tell(runner, "stopped", state.stop_reason)
    else:
        _tell(runner, "finished", "")


def _tell(runner: Any, outcome: str, reason: str) -> None:
    why = f": {reason}" if reason else ""
    place = _place(runner)
    runner.logger.info(
        "training_ends",
        line=f"Training {outcome} after {amount(place['epoch'], 'epoch')}, "
        f"{amount(place['iter'], 'iteration')}{why}",
        outcome=outcome,
        reason=reason,
        **place,
    )


def _place(runner: Any) -> dict[str, Any]:
    progress = runner.state.progress
    return {
        "epoch": progress.epoch,
        "iter": progress.iteration,
        "time_spent": runner.trainer.spent.describe(progress),
    }
