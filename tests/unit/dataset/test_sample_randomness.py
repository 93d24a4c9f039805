"""A sample's random numbers come from its place."""

from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, Subset, TensorDataset

from engine.dataset import PlacedDataset
from engine.dataset.sample_randomness import draws_nothing
from engine.state import capture_randomness
from tests.runs import bits


class Draws(Dataset[list[float]]):
    """Samples that are random numbers of all three generators."""

    colour = "green"

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> list[float]:
        return [random.random(), float(np.random.rand()), torch.rand(()).item()]


class DrawsTogether(Draws):
    """The same, a batch at a time."""

    def __getitems__(self, indices: list[int]) -> list[list[float]]:
        return [self[index] for index in indices]


def test_place_decides_and_nothing_else() -> None:
    """Equal for equal (seed, pass, position), whatever the index and company."""
    data = PlacedDataset(Draws(), 1, "sample")
    first, second = data.__getitems__([(0, 4, 7), (0, 5, 8)])
    assert data[(0, 5, 8)] == second
    assert data[(0, 4, 2)] == first
    others = [
        data[(1, 4, 7)],
        data[(0, 6, 7)],
        PlacedDataset(Draws(), 2, "sample")[(0, 4, 7)],
    ]
    drawn = [number for sample in [first, second, *others] for number in sample]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("dataset", [Draws(), DrawsTogether()])
def test_per_batch_the_first_place_decides(dataset: Draws) -> None:
    """The batch draws on from its first sample's place."""
    data = PlacedDataset(dataset, 1, "batch")
    batch = data.__getitems__([(0, 4, 7), (0, 5, 8)])
    assert data.__getitems__([(0, 4, 1), (0, 9, 9)]) == batch
    assert data.__getitems__([(0, 5, 8)])[0] != batch[1]


def test_a_dataset_with_getitems_is_seeded_per_batch() -> None:
    """Its samples cannot be told apart, so the first place seeds them all."""
    data = PlacedDataset(DrawsTogether(), 1, "sample")
    batch = data.__getitems__([(0, 4, 7), (0, 5, 8)])
    assert data.__getitems__([(0, 4, 0), (0, 0, 0)]) == batch


def test_the_main_processs_generators_stay() -> None:
    """Also when the dataset raises."""

    class Broken(Draws):
        def __getitem__(self, index: int) -> Any:
            super().__getitem__(index)
            raise OSError("no such image")

    before = bits(capture_randomness())
    PlacedDataset(Draws(), 1, "sample")[(0, 0, 0)]
    with pytest.raises(OSError, match="no such image"):
        PlacedDataset(Broken(), 1, "sample")[(0, 0, 0)]
    assert bits(capture_randomness()) == before


def test_the_datasets_attributes_are_found_through_it() -> None:
    """A worker_init_fn asks its worker's dataset for them."""
    data = PlacedDataset(Draws(), 1, "sample")
    assert data.colour == "green"
    with pytest.raises(AttributeError, match="Draws"):
        _ = data.shape


def test_it_can_be_pickled() -> None:
    """Workers that are spawned get it so."""
    pickled = pickle.dumps(PlacedDataset(TensorDataset(), 3, "sample"))
    data = pickle.loads(pickled)  # noqa: S301 - our own
    assert isinstance(data, PlacedDataset)


def test_plain_tensors_draw_nothing() -> None:
    """TensorDataset and parts of it; a subclass may do anything."""

    class Own(TensorDataset):
        pass

    tensors = TensorDataset(torch.zeros(3))
    assert draws_nothing(tensors)
    assert draws_nothing(Subset(Subset(tensors, [0, 1]), [0]))
    assert not draws_nothing(Own(torch.zeros(3)))
    assert not draws_nothing(Draws())
    assert not draws_nothing(Subset(Draws(), [0]))
