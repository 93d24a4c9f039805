"""Samplers whose order is a function of seed and epoch, or of seed and position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.utils.data import Sampler

from engine.dataset.order import endless_indices, padded_length, rank_indices
from engine.dist import get_dist_info
from engine.errors import DataError
from engine.registry import DATA_SAMPLERS
from engine.state import draw_seed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sized

__all__ = ["DefaultSampler", "InfiniteSampler"]


@DATA_SAMPLERS.register_module()
class DefaultSampler(Sampler[int]):
    """Each epoch a new permutation; ranks take every ``world``-th place of it.

    Args:
        dataset: What is sampled; only its length is used.
        shuffle: Permute, or keep the dataset's order.
        seed: Of the order; ``None``: the run's, or outside a run one that is drawn.
        round_up: Repeat samples from the start until every rank has as many.

    Raises:
        DataError: The dataset is empty.
    """

    def __init__(
        self,
        dataset: Sized,
        shuffle: bool = True,
        seed: int | None = None,
        round_up: bool = True,
    ) -> None:
        _refuse_empty(dataset)
        self.rank, self.world_size = get_dist_info()
        self.length = len(dataset)
        self.shuffle = shuffle
        self.seed = seed
        self._drawn = draw_seed() if seed is None else seed
        self.round_up = round_up
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def indices(self, epoch: int, seed: int | None = None) -> list[int]:
        """This rank's indices of any epoch, in order.

        Args:
            epoch: Which one, from 0.
            seed: Used by a sampler that was given none; ``None``: one drawn by it.
        """
        if self.seed is not None or seed is None:
            seed = self._drawn
        return rank_indices(
            self.length,
            seed=seed,
            epoch=epoch,
            shuffle=self.shuffle,
            rank=self.rank,
            world=self.world_size,
            round_up=self.round_up,
        )

    def __iter__(self) -> Iterator[int]:
        """This rank's indices of the chosen epoch."""
        return iter(self.indices(self.epoch))

    def __len__(self) -> int:
        """How many indices this rank gets."""
        places = padded_length(
            self.length, world=self.world_size, round_up=self.round_up
        )
        return len(range(self.rank, places, self.world_size))


@DATA_SAMPLERS.register_module()
class InfiniteSampler(Sampler[int]):
    """One permutation after the other without end; ranks take every ``world``-th place.

    For runs that are bounded by iterations: batches are always full, for they go on
    from one permutation into the next.

    Args:
        dataset: What is sampled; only its length is used.
        shuffle: Permute each round, or keep the dataset's order.
        seed: Of the order; ``None``: the run's, or outside a run one that is drawn.

    Raises:
        DataError: The dataset is empty.
    """

    def __init__(
        self, dataset: Sized, shuffle: bool = True, seed: int | None = None
    ) -> None:
        _refuse_empty(dataset)
        self.rank, self.world_size = get_dist_info()
        self.length = len(dataset)
        self.shuffle = shuffle
        self.seed = seed
        self._drawn = draw_seed() if seed is None else seed

    def set_epoch(self, epoch: int) -> None:
        """Nothing: the order does not know epochs."""

    def part(self, start: int, count: int, seed: int | None = None) -> list[int]:
        """This rank's indices from a position on.

        Args:
            start: The position, from 0.
            count: How many.
            seed: Used by a sampler that was given none; ``None``: one drawn by it.
        """
        if self.seed is not None or seed is None:
            seed = self._drawn
        return endless_indices(
            self.length,
            seed=seed,
            start=start,
            count=count,
            shuffle=self.shuffle,
            rank=self.rank,
            world=self.world_size,
        )

    def __iter__(self) -> Iterator[int]:
        """This rank's indices, without end."""
        start = 0
        while True:
            yield from self.part(start, self.length)
            start += self.length

    def __len__(self) -> int:
        """Samples in the dataset: what loaders take for a pass."""
        return self.length


def _refuse_empty(dataset: Sized) -> None:
    if len(dataset) == 0:
        message = (
            f"{type(dataset).__name__} is empty: a sampler needs at least one sample"
        )
        raise DataError(message)
