"""The phases of a run and the moves between them.

::

    READY ──────────▶ TRAINING ◀────────▶ VALIDATING ◀──────▶ READY, FINISHED
      ▲                  │  │                                  (an evaluation alone)
      └── TESTING ◀──▶ FINISHED            TRAINING, VALIDATING, TESTING
                                             ├──▶ INTERRUPTED ──▶ the phase it left
                                             └──▶ FAILED (final)

``docs/explanation/state-machine.md`` draws the same table; a test compares.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["NEXT", "Phase"]


class Phase(Enum):
    """What a run is doing."""

    READY = "ready"
    TRAINING = "training"
    VALIDATING = "validating"
    TESTING = "testing"
    INTERRUPTED = "interrupted"
    FINISHED = "finished"
    FAILED = "failed"


NEXT: dict[Phase, frozenset[Phase]] = {
    Phase.READY: frozenset({Phase.TRAINING, Phase.VALIDATING, Phase.TESTING}),
    Phase.TRAINING: frozenset(
        {Phase.VALIDATING, Phase.INTERRUPTED, Phase.FINISHED, Phase.FAILED}
    ),
    # Back to where the evaluation came from: RunState.move checks which one it was.
    Phase.VALIDATING: frozenset(
        {
            Phase.READY,
            Phase.TRAINING,
            Phase.FINISHED,
            Phase.INTERRUPTED,
            Phase.FAILED,
        }
    ),
    Phase.TESTING: frozenset(
        {Phase.READY, Phase.FINISHED, Phase.INTERRUPTED, Phase.FAILED}
    ),
    # Back to the phase that was left: RunState.move checks which one it was.
    Phase.INTERRUPTED: frozenset({Phase.TRAINING, Phase.VALIDATING, Phase.TESTING}),
    # To training only with a larger limit: RunState.move checks it.
    Phase.FINISHED: frozenset({Phase.TRAINING, Phase.VALIDATING, Phase.TESTING}),
    Phase.FAILED: frozenset(),
}
"""The phases that each phase may be left for."""
