"""A cursor reads from any batch of any pass what a full read has there."""

from __future__ import annotations

import random
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
)

from engine.dataset import DefaultSampler, open_cursor
from engine.state import capture_randomness
from tests.runs import bits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Noisy(Dataset[tuple[int, list[float]]]):
    """Each sample draws from python's, NumPy's and torch's global generators.

    Args:
        size: How many samples.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.fetched: list[int] = []

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[int, list[float]]:
        self.fetched.append(int(index))
        drawn = [random.random(), float(np.random.rand()), torch.rand(()).item()]
        return int(index), drawn


class NoisyTogether(Noisy):
    """Fetches a batch at a time."""

    def __getitems__(self, indices: list[int]) -> list[tuple[int, list[float]]]:
        return [self[index] for index in indices]


class Pairs(Sampler[list[int]]):
    """Batches of random sizes, in an order from torch's global generator.

    Args:
        size: Samples in the dataset.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(self.size).tolist()
        for start in range(0, self.size, 2):
            yield order[start : start + 2]

    def __len__(self) -> int:
        return (self.size + 1) // 2


class Drawing(Sampler[int]):
    """Indices from python's and NumPy's global generators.

    Args:
        size: Samples in the dataset.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __iter__(self) -> Iterator[int]:
        for _ in range(self.size):
            yield (random.randrange(self.size) + np.random.randint(9)) % self.size

    def __len__(self) -> int:
        return self.size


def generator() -> torch.Generator:
    """One of the user's own."""
    return torch.Generator().manual_seed(123)


SAMPLERS: dict[str, Callable[[Noisy], dict[str, Any]]] = {
    "shuffle": lambda _: {"shuffle": True},
    "shuffle with own generator": lambda _: {
        "shuffle": True,
        "generator": generator(),
    },
    "in order": lambda _: {"shuffle": False},
    "DefaultSampler": lambda data: {"sampler": DefaultSampler(data, seed=5)},
    "DefaultSampler in order": lambda data: {
        "sampler": DefaultSampler(data, shuffle=False, seed=5)
    },
    "SequentialSampler": lambda data: {"sampler": SequentialSampler(data)},
    "RandomSampler": lambda data: {"sampler": RandomSampler(data)},
    "RandomSampler with replacement": lambda data: {
        "sampler": RandomSampler(data, replacement=True, num_samples=2 * len(data))
    },
    "RandomSampler with own generator": lambda data: {
        "sampler": RandomSampler(data, generator=generator())
    },
    "WeightedRandomSampler": lambda data: {
        "sampler": WeightedRandomSampler(
            [1.0 + index for index in range(len(data))], len(data)
        )
    },
    "own sampler": lambda data: {"sampler": Drawing(len(data))},
}


@st.composite
def loaders(draw: st.DrawFn) -> Callable[[int], DataLoader[Any]]:
    """A function from a number of workers to a fresh loader over noisy samples."""
    size = draw(st.integers(1, 12), label="samples")
    together = draw(st.booleans(), label="__getitems__")
    how = draw(st.sampled_from(["batches", "batch sampler", "no batches"]), label="how")
    batch_size = draw(st.integers(1, size), label="batch size")
    drop_last = draw(st.booleans(), label="drop last")
    sampler = draw(st.sampled_from(list(SAMPLERS)), label="sampler")

    def make(workers: int) -> DataLoader[Any]:
        data = NoisyTogether(size) if together else Noisy(size)
        settings: dict[str, Any] = SAMPLERS[sampler](data)
        if how == "batch sampler":
            settings = {"batch_sampler": Pairs(size)}
        elif how == "batches":
            settings |= {"batch_size": batch_size, "drop_last": drop_last}
        else:
            settings |= {"batch_size": None}
        return DataLoader(data, num_workers=workers, collate_fn=list, **settings)

    return make


@given(make=loaders(), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_reading_from_batch_k_is_dropping_k(
    make: Callable[[int], DataLoader[Any]], seed: int, data: st.DataObject
) -> None:
    """Any pass, any batch, fresh objects: the same batches and random numbers."""
    whole = open_cursor(make(0), seed=seed)
    data_pass = data.draw(st.integers(0, 5), label="pass")
    start = data.draw(st.integers(0, whole.length), label="from batch")
    full = list(whole.read(data_pass, 0))
    assert len(full) == whole.length
    torch.rand(3)
    assert list(open_cursor(make(0), seed=seed).read(data_pass, start)) == full[start:]
    assert list(whole.read(data_pass, start)) == full[start:], "a second time"


@given(make=loaders(), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_reading_moves_no_global_generator(
    make: Callable[[int], DataLoader[Any]], seed: int, data: st.DataObject
) -> None:
    """Not by opening, not by the sampler's order, not by the samples' own draws."""
    loader = make(0)
    before = bits(capture_randomness())
    cursor = open_cursor(loader, seed=seed)
    start = data.draw(st.integers(0, cursor.length), label="from batch")
    for _ in cursor.read(0, start):
        assert bits(capture_randomness()) == before
    assert bits(capture_randomness()) == before


@given(make=loaders(), data=st.data())
def test_no_skipped_sample_is_fetched(
    make: Callable[[int], DataLoader[Any]], data: st.DataObject
) -> None:
    """The samples that are fetched are those in the batches that are read."""
    loader = make(0)
    assert isinstance(loader.dataset, Noisy)
    cursor = open_cursor(loader, seed=1)
    start = data.draw(st.integers(0, cursor.length), label="from batch")
    read = list(cursor.read(0, start))
    indices = [sample[0] for batch in read for sample in _samples(batch)]
    assert loader.dataset.fetched == indices


def _samples(batch: Any) -> list[Any]:
    return [batch] if batch and isinstance(batch[0], int) else batch


@settings(max_examples=6)
@given(make=loaders(), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_workers_change_no_batch(
    make: Callable[[int], DataLoader[Any]], seed: int, data: st.DataObject
) -> None:
    """Two workers give what none gives, random numbers included, from any batch on."""
    alone = open_cursor(make(0), seed=seed)
    start = data.draw(st.integers(0, alone.length), label="from batch")
    before = bits(capture_randomness())
    shared = list(open_cursor(make(2), seed=seed).read(1, start))
    assert bits(capture_randomness()) == before
    assert shared == list(alone.read(1, start))


@given(
    make=loaders(),
    seed=st.integers(0, 2**31),
    passes=st.lists(st.integers(0, 9), min_size=2, max_size=2, unique=True),
)
def test_passes_draw_their_own_numbers(
    make: Callable[[int], DataLoader[Any]], seed: int, passes: list[int]
) -> None:
    """No sample's noise repeats in another pass."""
    cursor = open_cursor(make(0), seed=seed)
    noise = [
        {
            tuple(sample[1])
            for batch in cursor.read(one, 0)
            for sample in _samples(batch)
        }
        for one in passes
    ]
    assert not noise[0] & noise[1]


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_every_sampler_reads_from_the_middle(name: str) -> None:
    """Each kind, at each batch; and what shuffles differs from pass to pass."""

    def make() -> DataLoader[Any]:
        data = Noisy(11)
        return DataLoader(data, batch_size=3, collate_fn=list, **SAMPLERS[name](data))

    cursor = open_cursor(make(), seed=3)
    full = list(cursor.read(2, 0))
    for start in range(len(full) + 1):
        assert list(open_cursor(make(), seed=3).read(2, start)) == full[start:]
    order = [[index for index, _ in batch] for batch in full]
    other = [[index for index, _ in batch] for batch in cursor.read(3, 0)]
    shuffles = "order" not in name and name != "SequentialSampler"
    assert (order != other) is shuffles


@given(size=st.integers(1, 12), batch_size=st.integers(1, 5), data=st.data())
def test_plain_tensors_are_read_from_the_middle(
    size: int, batch_size: int, data: st.DataObject
) -> None:
    """They draw nothing, so they are read unwrapped; a Subset of them too."""
    tensors: Dataset[tuple[Tensor, ...]] = TensorDataset(torch.arange(size))
    if data.draw(st.booleans(), label="subset"):
        tensors = Subset(tensors, range(size))
    loader = DataLoader(tensors, batch_size=batch_size, shuffle=True)
    cursor = open_cursor(loader, seed=4)
    start = data.draw(st.integers(0, cursor.length), label="from batch")
    full = [batch.tolist() for (batch,) in cursor.read(1, 0)]
    assert [batch.tolist() for (batch,) in cursor.read(1, start)] == full[start:]
    assert sorted(chain.from_iterable(full)) == list(range(size))


@given(make=loaders(), seed=st.integers(0, 2**31))
def test_sizes_are_those_of_the_batches(
    make: Callable[[int], DataLoader[Any]], seed: int
) -> None:
    """batch_size and last_batch_size, where they are known, are what is read."""
    cursor = open_cursor(make(0), seed=seed)
    sizes = [len(_samples(batch)) for batch in cursor.read(0, 0)]
    if cursor.batch_size:
        expected = [cursor.batch_size] * (len(sizes) - 1) + [cursor.last_batch_size]
        assert sizes == expected


@given(length=st.integers(1, 8), data=st.data())
def test_other_iterables_are_walked_to_the_place(
    length: int, data: st.DataObject
) -> None:
    """A list of batches, and one that gives no length."""
    batches = list(range(length))
    start = data.draw(st.integers(0, length), label="from batch")
    cursor = open_cursor(batches, seed=0)
    assert not cursor.exact
    assert list(cursor.read(0, start)) == batches[start:]


def test_a_batch_sampler_around_a_default_sampler_follows_the_pass() -> None:
    """set_epoch is called through a batch sampler's own ``sampler``."""

    class Own(BatchSampler):
        """A kind that the cursor does not know."""

    data = Noisy(10)
    sampler = DefaultSampler(data, seed=3)
    loader = DataLoader(data, batch_sampler=Own(sampler, 4, False), collate_fn=list)
    cursor = open_cursor(loader, seed=9)
    for data_pass in (0, 1, 0):
        read = [sample[0] for batch in cursor.read(data_pass, 0) for sample in batch]
        assert read == sampler.indices(data_pass)
