"""Where the time of a training process goes."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from engine.state import Progress

__all__ = ["TimeSpent"]


@define
class TimeSpent:
    """Seconds of training since it began in this process; no part of a run's state.

    What is in none of the parts is hooks' and the engine's own.

    Attributes:
        data: Waiting for batches.
        step: In the training step.
        validation: In validations at safe points.
        saving: In saves at safe points, as far as training waits for them.
        mark: When what runs now began, on ``perf_counter``'s clock.
    """

    data: float = 0.0
    step: float = 0.0
    validation: float = 0.0
    saving: float = 0.0
    mark: float = field(factory=perf_counter)
    _began: float | None = None
    _iteration: int = 0
    _samples: int = 0

    def begin(self, progress: Progress) -> None:
        """Begin to measure.

        Args:
            progress: Where the run is.
        """
        self.data = self.step = self.validation = self.saving = 0.0
        self.mark = self._began = perf_counter()
        self._iteration, self._samples = progress.iteration, progress.samples

    def describe(self, progress: Progress) -> dict[str, float]:
        """The parts, all of it (``training``), and the work that was done in it.

        Args:
            progress: Where the run is. What a process finds done when it fails before
                it trains is none of its work.
        """
        begun = self._began is not None
        gone = 0.0 if self._began is None else perf_counter() - self._began
        return {
            "data": round(self.data, 6),
            "step": round(self.step, 6),
            "validation": round(self.validation, 6),
            "saving": round(self.saving, 6),
            "training": round(gone, 6),
            "iterations": begun * (progress.iteration - self._iteration),
            "samples": begun * (progress.samples - self._samples),
        }
