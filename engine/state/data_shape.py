"""How the training data lies in batches and on ranks, and what may go on with it.

The global order of a pass does not know ranks: rank ``r`` of ``w`` takes every ``w``-th
place of it, so ``w`` ranks with batches of ``b`` read together the places of ``w * b``
samples in each iteration. Another number of ranks reads the same ones if that product
and the end of a pass, padding included, stay as they are.
"""

from __future__ import annotations

import math
from typing import ClassVar

from attrs import frozen

__all__ = ["DataShape"]


@frozen(kw_only=True)
class DataShape:
    """How the training data lies in batches and on ranks.

    Args:
        length: Batches of a pass on each rank; 0 if that is not known.
        batch_size: Samples in a batch on each rank; 0 if that is not known.
        ranks: Processes that share a pass.
        samples: In the dataset; 0: ranks do not share a global order of them.
        multiple: Samples are repeated until a pass has a multiple of so many places;
            0: of the number of ranks.
        drop_last: Whether a smaller batch at the end is left out.
        endless: Whether batches go on from one pass into the next.
    """

    FORMAT: ClassVar[int] = 1

    length: int = 0
    batch_size: int = 0
    ranks: int = 1
    samples: int = 0
    multiple: int = 0
    drop_last: bool = False
    endless: bool = False

    @property
    def global_batch(self) -> int:
        """Samples in an iteration, on all ranks."""
        return self.batch_size * self.ranks

    def places(self, ranks: int) -> int:
        """Places of a pass that are read by so many ranks with the same global batch.

        >>> DataShape(batch_size=4, ranks=2, samples=13).places(4)
        16
        """
        multiple = self.multiple or ranks
        padded = math.ceil(self.samples / multiple) * multiple
        if self.drop_last:
            return padded // self.global_batch * self.global_batch
        return padded

    def sizes(self) -> list[tuple[int, int]]:
        """Ranks and batch sizes that read the same samples in each iteration.

        >>> DataShape(batch_size=4, ranks=2, samples=16).sizes()
        [(1, 8), (2, 4), (4, 2), (8, 1)]
        >>> DataShape(batch_size=4, ranks=2, samples=14).sizes()
        [(1, 8), (2, 4)]
        """
        mine = self.places(self.ranks)
        return [
            (ranks, self.global_batch // ranks)
            for ranks in range(1, self.global_batch + 1)
            if self.global_batch % ranks == 0
            and (self.endless or (self.places(ranks) == mine and mine % ranks == 0))
        ]

    def why_not(self, now: DataShape) -> str:
        """Why a run of this shape cannot go on with data of another; empty if it can.

        Args:
            now: The shape of the data given now.
        """
        if now.ranks != self.ranks:
            return self._why_not_ranks(now)
        pairs = ((now.length, self.length), (now.batch_size, self.batch_size))
        if any(a and b and a != b for a, b in pairs):
            return (
                f"a pass over this run's data has {self.length} batches of "
                f"{self.batch_size} samples, the data given now has {now.length} of "
                f"{now.batch_size}: its place in the data would not be the same. Give "
                "the data and batch size that the run was saved with, or start a new "
                "run."
            )
        return ""

    def _why_not_ranks(self, now: DataShape) -> str:
        then = f"this run was saved by {_sizes(self.ranks, self.batch_size)}"
        if not (self.samples and now.samples):
            return (
                f"{then} and would go on with {now.ranks}: its data has no global "
                "order that another number of ranks could share. Use a sampler whose "
                "order is a function, as DefaultSampler, or go on with as many ranks."
            )
        allowed = self.sizes()
        same = now.samples == self.samples and now.endless == self.endless
        if same and (now.ranks, now.batch_size) in allowed:
            return ""
        hint = "; ".join(_sizes(*one) for one in allowed)
        return (
            f"{then} and would go on with {_sizes(now.ranks, now.batch_size)}, over "
            f"{now.samples} samples (it had {self.samples}): the order of samples and "
            f"the number of steps would not be the same. It goes on with: {hint}. (A "
            "sampler with pad_to=ranks * batch_size allows each that divides this.)"
        )


def _sizes(ranks: int, batch_size: int) -> str:
    return f"{ranks} rank{'s' * (ranks > 1)} with batches of {batch_size}"
