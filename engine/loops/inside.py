"""A validation that is left between two of its batches, and gone on with.

Inside training, the places between a validation's batches are safe points too. What
was evaluated up to there is saved: how many batches, what the metrics have gathered,
the validation's own random generators. Whoever resumes evaluates the rest.

What ``before_val`` and ``before_val_epoch`` set up lives in the process: the averages
that are swapped in, timers. So they run again when a validation is gone on with, and
then everything that remembers is put back as it was at the stop.

A validation begins again whole, from the state of its start, where a metric cannot give
its state or a loop of the user's drives it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ignite.metrics import Metric

from engine.errors import MetricError, amount
from engine.evaluator.ignite_memory import IgniteMemory
from engine.state import (
    DueKind,
    Exactness,
    PartReport,
    Phase,
    capture_randomness,
    restore_randomness,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.events import Bus
    from engine.loops.eval_data import EvalData
    from engine.typing import Plain

__all__ = ["Gathered", "Inside"]

PART = "validation"
_NOT_OURS = "a loop of the user's drives it, or it is one of several"


class Gathered:
    """What the metrics of one validation have gathered.

    Args:
        evaluator: It was reset just now; ``None``: there is none.
        bus: Ignite's metrics are attached to it, and were reset too.
    """

    def __init__(self, evaluator: Any, bus: Bus) -> None:
        self._evaluator = evaluator
        watch = getattr(evaluator, "watch", None)
        if watch is not None:
            watch()
        self._attached = [IgniteMemory(one) for one in _attached(bus)]

    @property
    def kinds(self) -> list[str]:
        """Which metrics there are."""
        own = getattr(self._evaluator, "metrics", None) or []
        return [type(one).__name__ for one in own] + [m.kind for m in self._attached]

    def state_dict(self) -> Plain:
        """All of it.

        Raises:
            MetricError: A metric cannot give its state.
        """
        evaluator, state = self._evaluator, None
        if evaluator is not None:
            if not hasattr(evaluator, "state_dict"):
                message = f"{type(evaluator).__name__} has no state_dict()"
                raise MetricError(message)
            state = evaluator.state_dict()
        return {
            "kinds": self.kinds,
            "evaluator": state,
            "attached": [one.state_dict() for one in self._attached],
        }

    def load_state_dict(self, state_dict: Any, /) -> None:
        """Go on from what :meth:`state_dict` gave."""
        if self._evaluator is not None:
            self._evaluator.load_state_dict(state_dict["evaluator"])
        for one, saved in zip(self._attached, state_dict["attached"], strict=True):
            one.load_state_dict(saved)


def _attached(bus: Bus) -> list[Metric]:
    found: list[Metric] = []
    for handler in bus.dispatcher("ITERATION_COMPLETED").handlers:
        owner = getattr(handler.original, "__self__", None)
        if isinstance(owner, Metric) and not any(one is owner for one in found):
            found.append(owner)
    return found


def read_place(
    *,
    batches: int,
    samples: int,
    length: int | None,
    data: EvalData,
    began: Any,
    gathered: Gathered,
) -> dict[str, Any]:
    """Where a validation is between two of its batches.

    Args:
        batches: Done.
        samples: In them.
        length: Batches in all; ``None`` if that is not known.
        data: What it reads.
        began: What ``data.begin`` told.
        gathered: Its metrics.

    Raises:
        MetricError: A metric cannot give its state.
    """
    return {
        "format": 1,
        "batches": batches,
        "samples": samples,
        "shape": [length, *data.shape],
        "began": began,
        "randomness": capture_randomness(),
        "gathered": gathered.state_dict(),
    }


def why_not(place: Any, length: int | None, data: EvalData, kinds: list[str]) -> str:
    """Why a validation cannot go on from a place; empty if it can.

    Args:
        place: As :func:`read_place` read it.
        length: Batches in all now.
        data: What is read now.
        kinds: Which metrics there are now.
    """
    shape = [length, *data.shape]
    if place["shape"] != shape:
        return (
            f"batches to evaluate, batches there are and samples in each were "
            f"{place['shape']} and are {shape}"
        )
    then = place["gathered"]["kinds"]
    return "" if then == kinds else f"its metrics were {then} and are {kinds}"


def put_back(place: Any, gathered: Gathered) -> None:
    """Let metrics and generators be as they were at a place."""
    gathered.load_state_dict(place["gathered"])
    restore_randomness(place["randomness"])


class Inside:
    """Where the validation of a training run was left, if it was."""

    def __init__(self) -> None:
        self.place: Any = None
        """Goes with the state in which the validation is owed; ``None``: its start."""
        self._here: Any = None  # where the run is now, if that is between two batches
        self._why = ""  # it begins again whole
        self._paid = False  # whether a validation that was owed runs now
        self._begun = 0  # evaluations of it

    @contextmanager
    def paying(self, kind: DueKind) -> Iterator[None]:
        """While the body pays a due: an owed validation may be left and gone on with.

        What handlers evaluate besides may not.
        """
        self._paid, self._begun = kind is DueKind.VALIDATION, 0
        if self._paid:
            self._why = _NOT_OURS
        try:
            yield
        finally:
            self._paid = False

    def begin(self) -> bool:
        """An evaluation begins; whether it is the owed one.

        Of several that pay one due, only the first one can be gone on with.
        """
        self._begun += self._paid
        return self._paid and self._begun == 1

    @property
    def between(self) -> bool:
        """Whether the run is between two batches of a validation now."""
        return self._here is not None

    @contextmanager
    def being(self, place: Any) -> Iterator[None]:
        """While the body runs, the run is between two batches."""
        self._here = place
        try:
            yield
        finally:
            self._here = None

    def leave(self, place: Any, why: str) -> None:
        """The validation is left.

        Args:
            place: Where; ``None``: it begins again whole.
            why: Why it does.
        """
        self._why = why
        if place is not None:
            self.place = place

    @property
    def keeps_place(self) -> bool:
        """Whether the validation that was left last goes on where it was."""
        return not self._why

    def done(self) -> None:
        """The validation is over."""
        self.place, self._why = None, ""

    # -- saving ------------------------------------------------------------------

    def saved(self, phase: Phase, *, rewound: bool) -> Plain:
        """What a checkpoint holds of it.

        Args:
            phase: What the run is doing.
            rewound: Whether the checkpoint holds the state before the validation.
        """
        if self._here is not None:
            return self._here
        if phase is Phase.VALIDATING and not rewound:
            return None  # not at a safe point: it says so, and begins again
        if self.place is None and self._why:
            return {"format": 1, "whole": self._why}
        return self.place

    def load(self, saved: Plain) -> None:
        """Go on from what :meth:`saved` gave."""
        self.place = None if saved is None or "whole" in saved else saved
        self._why = ""


def examine(saved: Plain) -> list[PartReport]:
    """How exactly a validation that was left comes back."""
    if saved is None:
        return []
    if "whole" in saved:
        why = f"it begins again whole, from the state of its start: {saved['whole']}"
        return [PartReport(PART, Exactness.EXACT, why)]
    why = f"it goes on after {amount(saved['batches'], 'batch', 'batches')}"
    return [PartReport(PART, Exactness.EXACT, why)]
