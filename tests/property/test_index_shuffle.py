"""A permutation that is computed: each index once, whatever the size."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from engine.dataset import IndexShuffleSampler, index_shuffle, open_cursor
from engine.registry import DATA_SAMPLERS

if TYPE_CHECKING:
    from collections.abc import Iterator

seeds = st.integers(0, 2**32 - 1)
epochs = st.integers(0, 1000)


class Numbers(Dataset[int]):
    """As many as it is told; keeps none.

    Args:
        length: How many.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.fetched = 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        self.fetched += 1
        return index


@given(length=st.integers(1, 700), seed=seeds, epoch=epochs)
def test_each_index_once(length: int, seed: int, epoch: int) -> None:
    """A bijection on every size, squares and their neighbours included."""
    order = index_shuffle(range(length), length=length, seed=seed, epoch=epoch)
    assert sorted(order) == list(range(length))


@given(length=st.integers(1, 2**62), seed=seeds, epoch=epochs, data=st.data())
def test_a_place_does_not_depend_on_its_company(
    length: int, seed: int, epoch: int, data: st.DataObject
) -> None:
    """Asked for alone or with others, near or far: the same, different for others."""
    places = data.draw(
        st.lists(st.integers(0, length - 1), min_size=1, max_size=9, unique=True)
    )
    together = index_shuffle(places, length=length, seed=seed, epoch=epoch)
    alone = [
        index_shuffle([place], length=length, seed=seed, epoch=epoch)[0]
        for place in places
    ]
    assert together == alone
    assert len(set(together)) == len(places)
    assert all(0 <= index < length for index in together)


def test_the_order_is_a_promise() -> None:
    """Known values: runs that were begun earlier go on with them."""
    assert index_shuffle(range(8), length=8, seed=0, epoch=0) == [
        *(2, 4, 6, 0, 5, 1, 3, 7)
    ]
    assert index_shuffle([0, 1, 10**9 - 1], length=10**9, seed=7, epoch=3) == [
        *(187701591, 153182062, 144009227)
    ]


def test_all_orders_of_a_small_set_are_about_as_frequent() -> None:
    """24 orders of 4 samples over 6,000 epochs: chi square of 23 degrees below 50."""
    found = Counter(
        tuple(index_shuffle(range(4), length=4, seed=1, epoch=epoch))
        for epoch in range(6000)
    )
    expected = 6000 / 24
    assert len(found) == 24
    assert sum((count - expected) ** 2 / expected for count in found.values()) < 50


@pytest.mark.parametrize("length", [1000, 1024, 10**6])
def test_it_looks_random(length: int) -> None:
    """Few fixed points, runs up and down, no memory of the epoch before."""
    count = 1000
    one, other = (
        index_shuffle(range(count), length=length, seed=5, epoch=epoch)
        for epoch in (0, 1)
    )
    fixed = sum(index == place for place, index in enumerate(one))
    same = sum(a == b for a, b in zip(one, other, strict=True))
    ups = sum(a < b for a, b in pairwise(one))
    halves = sum(index < length // 2 for index in one)
    assert fixed < 9  # one is expected, in a small set
    assert same < 9
    assert 440 < ups < 560
    assert 440 < halves < 560


@given(
    length=st.integers(1, 60),
    seed=seeds,
    epoch=epochs,
    world=st.integers(1, 5),
    round_up=st.booleans(),
)
def test_ranks_cover_an_epoch_once(
    length: int, seed: int, epoch: int, world: int, round_up: bool
) -> None:
    """Padding aside; and each rank's iteration is what its positions say."""
    counted: Counter[int] = Counter()
    for rank in range(world):
        sampler = IndexShuffleSampler(range(length), seed, round_up)
        sampler.rank, sampler.world_size = rank, world
        sampler.set_epoch(epoch)
        indices = list(sampler)
        assert len(indices) == len(sampler)
        for start in {0, len(indices) // 2}:
            assert sampler.indices_at(epoch, start, 99) == indices[start:]
        counted.update(indices)
    padding = -length % world if round_up else 0
    assert sum(counted.values()) == length + padding
    assert set(counted) == set(range(length))


def test_a_huge_set_is_read_from_the_middle_in_no_memory() -> None:
    """10**9 samples: four fetched of the last batches, far below a list's megabytes."""
    data = Numbers(10**9)
    loader = DataLoader(data, 2, sampler=IndexShuffleSampler(data), collate_fn=list)
    tracemalloc.start()
    cursor = open_cursor(loader, seed=3)
    last = list(cursor.read(4, cursor.length - 2))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    places = range(10**9 - 4, 10**9)
    expected = index_shuffle(places, length=10**9, seed=3, epoch=4)
    assert last == [expected[:2], expected[2:]]
    assert data.fetched == 4
    assert peak < 1_000_000


def test_it_is_registered() -> None:
    """Specs name it."""
    assert DATA_SAMPLERS.get("IndexShuffleSampler") is IndexShuffleSampler


def test_passes_of_a_loader_differ() -> None:
    """The pass is the epoch."""
    data = Numbers(50)
    loader = DataLoader(data, 50, sampler=IndexShuffleSampler(data), collate_fn=list)
    cursor = open_cursor(loader, seed=3)

    def orders() -> Iterator[tuple[int, ...]]:
        for data_pass in range(5):
            (batch,) = cursor.read(data_pass, 0)
            assert sorted(batch) == list(range(50))
            yield tuple(batch)

    assert len(set(orders())) == 5
