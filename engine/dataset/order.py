"""Which sample stands where: pure functions of seed, epoch, length, rank and world.

The global order of an epoch is a permutation. Ranks take every ``world``-th place of
it, so position ``k`` of rank ``r`` is place ``k * world + r``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = [
    "Permutations",
    "endless_indices",
    "global_position",
    "padded_length",
    "permutation",
    "rank_indices",
    "rank_places",
]


def permutation(length: int, *, seed: int, epoch: int) -> list[int]:
    """The order of an epoch: ``torch.randperm`` from a generator seeded ``seed+epoch``.

    Args:
        length: Samples, at least 0.
        seed: The run's seed.
        epoch: Pass over the data, from 0.

    >>> permutation(5, seed=0, epoch=0) == permutation(5, seed=0, epoch=0)
    True
    """
    order: list[int] = _randperm(length, seed + epoch).tolist()
    return order


def _randperm(length: int, seed: int) -> Tensor:
    generator = torch.Generator()
    generator.manual_seed(seed)
    return torch.randperm(length, generator=generator)


class Permutations:
    """:func:`permutation`, read by place; the last one is kept, as a tensor.

    A list of ten million numbers takes 400 MB and a third of a second to make.

    Args:
        length: Samples, at least 1.

    >>> order = Permutations(5)
    >>> order.at([4, 0], seed=0, epoch=0) == [
    ...     permutation(5, seed=0, epoch=0)[place] for place in (4, 0)
    ... ]
    True
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._seed: int | None = None
        self._order = torch.empty(0, dtype=torch.int64)

    def at(self, places: Sequence[int], *, seed: int, epoch: int) -> list[int]:
        """The samples that stand at some places of an epoch's order.

        Args:
            places: Each from 0 to ``length - 1``.
            seed: The run's seed.
            epoch: Pass over the data, from 0.
        """
        if self._seed != seed + epoch:
            self._order = _randperm(self._length, seed + epoch)
            self._seed = seed + epoch
        found: list[int] = self._order[torch.tensor(places, dtype=torch.int64)].tolist()
        return found


def padded_length(
    length: int, *, world: int, round_up: bool, multiple: int | None = None
) -> int:
    """Places in the global order, padding included.

    Args:
        length: Samples in the dataset.
        world: Number of ranks.
        round_up: Whether there is padding.
        multiple: Padded to a multiple of so many; ``None``: of the ranks.

    >>> (
    ...     padded_length(10, world=4, round_up=True),
    ...     padded_length(10, world=4, round_up=False),
    ... )
    (12, 10)
    """
    multiple = multiple or world
    return math.ceil(length / multiple) * multiple if round_up else length


def rank_indices(
    length: int,
    *,
    seed: int,
    epoch: int,
    shuffle: bool,
    rank: int = 0,
    world: int = 1,
    round_up: bool = True,
    multiple: int | None = None,
) -> list[int]:
    """Indices of the samples that one rank sees in an epoch, in order.

    Args:
        length: Samples in the dataset.
        seed: The run's seed.
        epoch: Pass over the data, from 0.
        shuffle: Permute, or keep the dataset's order.
        rank: Which rank, below ``world``.
        world: Number of ranks.
        round_up: Repeat samples from the start until every rank has as many.
        multiple: Until there are a multiple of so many; ``None``: of the ranks.

    >>> rank_indices(5, seed=0, epoch=0, shuffle=False, rank=1, world=2)
    [1, 3, 0]
    """
    order: Sequence[int] = range(length)
    if shuffle:
        order = permutation(length, seed=seed, epoch=epoch)
    places = padded_length(length, world=world, round_up=round_up, multiple=multiple)
    if places > length > 0:
        order = (list(order) * math.ceil(places / length))[:places]
    return list(order[rank:places:world])


def endless_indices(
    length: int,
    *,
    seed: int,
    start: int,
    count: int,
    shuffle: bool,
    rank: int = 0,
    world: int = 1,
) -> list[int]:
    """A part of one rank's share of an order that never ends.

    The global order is one permutation of the samples after the other, that of round
    ``n`` being :func:`permutation` of epoch ``n``; a position in it is found without
    walking there.

    Args:
        length: Samples in the dataset, at least 1.
        seed: The run's seed.
        start: This rank's first position, from 0.
        count: Positions.
        shuffle: Permute each round, or keep the dataset's order.
        rank: Which rank, below ``world``.
        world: Number of ranks.

    >>> endless_indices(3, seed=0, start=1, count=4, shuffle=False)
    [1, 2, 0, 1]
    """
    found: list[int] = []
    order: Sequence[int] = range(length)
    present = -1
    for position in range(start, start + count):
        number, place = divmod(position * world + rank, length)
        if shuffle and number != present:
            order, present = permutation(length, seed=seed, epoch=number), number
        found.append(order[place])
    return found


def rank_places(
    start: int,
    count: int,
    *,
    length: int,
    rank: int,
    world: int,
    round_up: bool,
    multiple: int | None = None,
) -> list[int]:
    """Places of an epoch's permutation that one rank reads from a position on.

    Args:
        start: The rank's first position, from 0.
        count: Positions; fewer where the epoch ends before.
        length: Samples in the dataset, at least 1.
        rank: Which rank, below ``world``.
        world: Number of ranks.
        round_up: As for :func:`rank_indices`.
        multiple: Likewise.

    >>> rank_places(1, 9, length=5, rank=1, world=2, round_up=True)
    [3, 0]
    """
    total = padded_length(length, world=world, round_up=round_up, multiple=multiple)
    end = min(total, (start + count) * world)
    return [place % length for place in range(start * world + rank, end, world)]


def global_position(index: int, *, rank: int, world: int) -> int:
    """Place in the global order of a rank's ``index``-th sample.

    >>> [global_position(k, rank=1, world=2) for k in range(3)]
    [1, 3, 5]
    """
    return index * world + rank
