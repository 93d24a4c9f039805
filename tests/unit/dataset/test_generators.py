"""Generators that a dataset keeps to itself, and how it is given a seed."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
)

from engine.dataset import open_cursor
from engine.dataset.generators import find_generators, find_seeded
from engine.state import Exactness, PartReport


class Jitter:
    """A transform with a generator of its own."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(3)

    def __call__(self, value: float) -> float:
        return value + float(self.rng.random())


class SeededJitter(Jitter):
    """One that takes seeds."""

    def set_sample_seed(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)


class Moved(Dataset[float]):
    """Numbers, moved by a transform.

    Args:
        transform: What moves them.
    """

    def __init__(self, transform: Any = None) -> None:
        self.transform = transform

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> float:
        return float(self.transform(float(index))) if self.transform else float(index)


class OwnGenerators(Moved):
    """One of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.torch = torch.Generator()
        self.several = [random.Random(2), random.Random(3)]
        self.old = np.random.RandomState(4)


def test_generators_are_found_where_they_usually_are() -> None:
    """In the dataset, in datasets that it wraps, in transforms and lists of them."""
    assert find_generators(OwnGenerators()) == [
        "OwnGenerators.old",
        "OwnGenerators.several",
        "OwnGenerators.torch",
    ]
    nested: Any = ConcatDataset([Subset(Moved([Jitter()]), [0]), Moved()])
    assert find_generators(nested) == ["Jitter.rng"]
    assert find_generators(Moved(SeededJitter())) == []
    assert find_generators(Moved(abs)) == []


def test_what_takes_a_seed_is_found_once() -> None:
    """A transform that two datasets share too."""
    jitter = SeededJitter()
    assert find_seeded(ConcatDataset([Moved(jitter), Moved(jitter)])) == [jitter]


def read(start: int, workers: int = 0, **settings: Any) -> list[float]:
    """Samples from a batch on, of fresh objects."""
    loader = DataLoader(Moved(SeededJitter()), 2, num_workers=workers, collate_fn=list)
    cursor = open_cursor(loader, seed=1, **settings)
    return [value for batch in cursor.read(0, start) for value in batch]


@pytest.mark.parametrize("randomness", ["sample", "batch"])
def test_a_generator_that_takes_seeds_is_seeded_by_place(randomness: Any) -> None:
    """From any batch on, in workers too."""
    whole = read(0, randomness=randomness)
    assert read(1, randomness=randomness) == whole[2:]
    assert read(2, workers=1, randomness=randomness) == whole[4:]
    noise = [value - index for index, value in enumerate(whole)]
    assert len({round(one, 9) for one in noise}) == 6


class Flow(IterableDataset[float]):
    """Yields what its own generator gives; takes seeds."""

    def __init__(self) -> None:
        self.rng = random.Random(0)

    def set_sample_seed(self, seed: int) -> None:
        self.rng.seed(seed)

    def __iter__(self) -> Any:
        for _ in range(4):
            yield self.rng.random()


def test_an_iterable_dataset_is_seeded_too() -> None:
    """Before each sample: read again, it gives the same."""
    loader = DataLoader(Flow(), 2, collate_fn=list)
    cursor = open_cursor(loader, seed=1)
    assert list(cursor.read(0, 1)) == list(cursor.read(0, 0))[1:]


def samples(data: Any, randomness: Any = "sample", workers: int = 0) -> PartReport:
    """What the report says of the samples."""
    loader = DataLoader(data, num_workers=workers)
    cursor = open_cursor(loader, seed=0, randomness=randomness)
    (part,) = [
        part for part in cursor.resume_report() if part.part == "train data: samples"
    ]
    return part


@pytest.mark.parametrize(
    ("data", "settings", "level", "reason"),
    [
        (Moved(), {}, Exactness.EXACT, "seeded before each sample"),
        (Moved(), {"randomness": "batch"}, Exactness.EXACT, "before each batch"),
        (Moved(Jitter()), {}, Exactness.SAME_ORDER, "Jitter.rng: a generator of"),
        (Moved(SeededJitter()), {}, Exactness.EXACT, "seeded before each sample"),
        (Moved(), {"randomness": "off"}, Exactness.EXACT, "training's generators"),
        (
            Moved(),
            {"randomness": "off", "workers": 1},
            Exactness.SAME_ORDER,
            "what workers draw begins anew",
        ),
        (
            TensorDataset(torch.zeros(3)),
            {"randomness": "off", "workers": 1},
            Exactness.EXACT,
            "TensorDataset draws no random numbers",
        ),
    ],
)
def test_the_report_tells_what_comes_back_of_augmentation(
    data: Any, settings: dict[str, Any], level: Exactness, reason: str
) -> None:
    """Exact, or the same samples with other noise; and why."""
    part = samples(data, **settings)
    assert part.level is level
    assert reason in part.reason
