"""Samplers whose order is a function of seed and epoch, or of seed and position.

They are *pure*: ``indices_at`` tells what stands at any position of any epoch, so a run
that is resumed goes there without walking. A sampler of your own that has the method,
by whatever formula, is treated likewise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch.utils.data import Sampler

from engine.dataset.index_shuffle import index_shuffle
from engine.dataset.order import (
    Permutations,
    endless_indices,
    padded_length,
    rank_indices,
    rank_places,
)
from engine.dist import get_dist_info, sync_random_seed
from engine.errors import DataError
from engine.registry import DATA_SAMPLERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sized

__all__ = ["DefaultSampler", "IndexShuffleSampler", "InfiniteSampler", "PureSampler"]

_AT_ONCE = 4096  # positions that an iteration works out together


@runtime_checkable
class PureSampler(Protocol):
    """A sampler whose order is a function of seed, epoch and position.

    One that never ends has an attribute ``endless`` that is true: it is asked for epoch
    0 only, and for positions that go on from one pass to the next.
    """

    def indices_at(
        self, epoch: int, start: int, count: int, *, seed: int | None = None
    ) -> list[int]:
        """This rank's indices of an epoch from a position on.

        Args:
            epoch: Which one, from 0.
            start: Position, from 0.
            count: How many; fewer where the epoch ends before.
            seed: The run's, for a sampler that was given none; ``None``: one of its
                own.
        """


@DATA_SAMPLERS.register_module()
class DefaultSampler(Sampler[int]):
    """Each epoch a new permutation; ranks take every ``world``-th place of it.

    Args:
        dataset: What is sampled; only its length is used.
        shuffle: Permute, or keep the dataset's order.
        seed: Of the order; ``None``: the run's, or outside a run one that is drawn.
        round_up: Repeat samples from the start until every rank has as many.
        pad_to: Until a pass has a multiple of so many places, at all ranks together;
            ``None``: of the number of ranks. With ranks x batch size the run may go on
            with another number of ranks.

    Raises:
        DataError: The dataset is empty, or ``pad_to`` is no multiple of the ranks.
    """

    def __init__(
        self,
        dataset: Sized,
        shuffle: bool = True,
        seed: int | None = None,
        round_up: bool = True,
        *,
        pad_to: int | None = None,
    ) -> None:
        _refuse_empty(dataset)
        self.rank, self.world_size = get_dist_info()
        self.length = len(dataset)
        self.shuffle = shuffle
        self.seed = seed
        self._drawn = sync_random_seed() if seed is None else seed
        self.round_up = round_up
        self.pad_to = _check_pad_to(pad_to, self.world_size)
        self.epoch = 0
        self._orders = Permutations(self.length)

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
            multiple=self.pad_to,
        )

    def indices_at(
        self, epoch: int, start: int, count: int, *, seed: int | None = None
    ) -> list[int]:
        """This rank's indices of an epoch from a position on; see ``PureSampler``."""
        if self.seed is not None or seed is None:
            seed = self._drawn
        places = _places(self, start, count)
        if not self.shuffle:
            return places
        return self._orders.at(places, seed=seed, epoch=epoch)

    def __iter__(self) -> Iterator[int]:
        """This rank's indices of the chosen epoch."""
        return iter(self.indices(self.epoch))

    def __len__(self) -> int:
        """How many indices this rank gets."""
        return _share(self)


@DATA_SAMPLERS.register_module()
class IndexShuffleSampler(Sampler[int]):
    """Each epoch a new permutation that is computed and never listed, for huge data.

    What stands at a position of a permutation of 10**9 samples is found in
    microseconds, in no memory: :func:`~engine.dataset.index_shuffle` says how. Ranks
    take every ``world``-th place. It is another order than ``DefaultSampler``'s.

    Args:
        dataset: What is sampled; only its length is used, at most 2**62.
        seed: Of the order; ``None``: the run's, or outside a run one that is drawn.
        round_up: Repeat samples from the start until every rank has as many.
        pad_to: Until a pass has a multiple of so many places, at all ranks together;
            ``None``: of the number of ranks. With ranks x batch size the run may go on
            with another number of ranks.

    Raises:
        DataError: The dataset is empty, or ``pad_to`` is no multiple of the ranks.
    """

    def __init__(
        self,
        dataset: Sized,
        seed: int | None = None,
        round_up: bool = True,
        *,
        pad_to: int | None = None,
    ) -> None:
        _refuse_empty(dataset)
        self.rank, self.world_size = get_dist_info()
        self.length = len(dataset)
        self.seed = seed
        self._drawn = sync_random_seed() if seed is None else seed
        self.round_up = round_up
        self.pad_to = _check_pad_to(pad_to, self.world_size)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def indices_at(
        self, epoch: int, start: int, count: int, *, seed: int | None = None
    ) -> list[int]:
        """This rank's indices of an epoch from a position on; see ``PureSampler``."""
        if self.seed is not None or seed is None:
            seed = self._drawn
        places = _places(self, start, count)
        return index_shuffle(places, length=self.length, seed=seed, epoch=epoch)

    def __iter__(self) -> Iterator[int]:
        """This rank's indices of the chosen epoch."""
        for start in range(0, len(self), _AT_ONCE):
            yield from self.indices_at(self.epoch, start, _AT_ONCE)

    def __len__(self) -> int:
        """How many indices this rank gets."""
        return _share(self)


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

    endless = True

    def __init__(
        self, dataset: Sized, shuffle: bool = True, seed: int | None = None
    ) -> None:
        _refuse_empty(dataset)
        self.rank, self.world_size = get_dist_info()
        self.length = len(dataset)
        self.shuffle = shuffle
        self.seed = seed
        self._drawn = sync_random_seed() if seed is None else seed
        self.start = 0
        """Position at which an iteration begins."""
        self._orders = Permutations(self.length)

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

    def indices_at(
        self, epoch: int, start: int, count: int, *, seed: int | None = None
    ) -> list[int]:
        """This rank's indices from a position on; there is no epoch but 0."""
        del epoch
        if self.seed is not None or seed is None:
            seed = self._drawn
        found: list[int] = []
        first = start * self.world_size + self.rank
        places = range(first, first + count * self.world_size, self.world_size)
        while places:
            number = places[0] // self.length
            end = (number + 1) * self.length
            here = range(places[0], min(places.stop, end), self.world_size)
            inside = [place - number * self.length for place in here]
            if self.shuffle:
                inside = self._orders.at(inside, seed=seed, epoch=number)
            found += inside
            places = places[len(here) :]
        return found

    def __iter__(self) -> Iterator[int]:
        """This rank's indices, without end."""
        start = self.start
        while True:
            yield from self.indices_at(0, start, _AT_ONCE)
            start += _AT_ONCE

    def __len__(self) -> int:
        """Samples in the dataset: what loaders take for a pass."""
        return self.length


def _share(sampler: DefaultSampler | IndexShuffleSampler) -> int:
    """How many of the places of an epoch are one rank's."""
    places = padded_length(
        sampler.length,
        world=sampler.world_size,
        round_up=sampler.round_up,
        multiple=sampler.pad_to,
    )
    return len(range(sampler.rank, places, sampler.world_size))


def _places(
    sampler: DefaultSampler | IndexShuffleSampler, start: int, count: int
) -> list[int]:
    """The places of an epoch that one rank reads from a position on."""
    return rank_places(
        start,
        count,
        length=sampler.length,
        rank=sampler.rank,
        world=sampler.world_size,
        round_up=sampler.round_up,
        multiple=sampler.pad_to,
    )


def _check_pad_to(pad_to: int | None, ranks: int) -> int | None:
    whole = isinstance(pad_to, int) and not isinstance(pad_to, bool)
    if pad_to is None or (whole and pad_to > 0 and pad_to % ranks == 0):
        return pad_to
    message = (
        f"pad_to={pad_to!r}: give a multiple of the {ranks} ranks, such as the samples "
        "that all of them read in an iteration"
    )
    raise DataError(message)


def _refuse_empty(dataset: Sized) -> None:
    if len(dataset) == 0:
        message = (
            f"{type(dataset).__name__} is empty: a sampler needs at least one sample"
        )
        raise DataError(message)
