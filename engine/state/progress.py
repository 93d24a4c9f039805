"""How far a run has come: counters of finished work."""

from __future__ import annotations

from typing import ClassVar

from attrs import define, field, setters
from attrs.validators import ge, instance_of

__all__ = ["Progress"]


def _count() -> int:
    return field(default=0, validator=[instance_of(int), ge(0)])


# NO_OP: validated when built or loaded, not at each `+= 1` of the hot path.
@define(kw_only=True, on_setattr=setters.NO_OP)
class Progress:
    """Counters of finished work; they move before ``after_*`` handlers run.

    The end of an epoch has two places, and each one representation: all iterations of
    epoch ``e`` done (``epoch == e``, ``epoch_iteration`` its length), and the epoch's
    end handled (``epoch == e + 1``, ``epoch_iteration == 0``).

    Args:
        epoch: Epochs finished.
        epoch_iteration: Iterations finished in the running epoch.
        iteration: Iterations finished in all.
        data_pass: Passes over the training data finished. Equal to ``epoch`` unless an
            epoch is not one pass, as in a run bounded by iterations.
        pass_batch: Batches consumed (not: prefetched) in the running pass.
        optimizer_steps: Calls of ``optimizer.step`` that took place.
        samples: Samples seen.
    """

    FORMAT: ClassVar[int] = 1

    epoch: int = _count()
    epoch_iteration: int = _count()
    iteration: int = _count()
    data_pass: int = _count()
    pass_batch: int = _count()
    optimizer_steps: int = _count()
    samples: int = _count()

    def finish_iteration(self, samples: int, pass_length: int) -> None:
        """Count one iteration, and the pass it may have ended.

        Args:
            samples: Samples in the batch.
            pass_length: Batches in a pass over the data; 0 if that is not known.
        """
        self.iteration += 1
        self.epoch_iteration += 1
        self.samples += samples
        self.pass_batch += 1
        if self.pass_batch == pass_length:
            self.finish_pass()

    def finish_pass(self) -> None:
        """Count the running pass as done; what is left of it will not be read."""
        self.data_pass += 1
        self.pass_batch = 0

    def finish_epoch(self) -> None:
        """Count the running epoch as done."""
        self.epoch += 1
        self.epoch_iteration = 0
