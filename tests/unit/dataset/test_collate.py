"""Samples to a batch, and how many a batch holds."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch

from engine.dataset import count_samples, default_collate, pseudo_collate
from engine.errors import DataError
from engine.registry import FUNCTIONS

Point = namedtuple("Point", ["x", "y"])  # noqa: PYI024 - plain ones must work


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([{"x": 1, "y": 2}, {"x": 3, "y": 4}], {"x": [1, 3], "y": [2, 4]}),
        ([(1, "a"), (2, "b")], [[1, 2], ["a", "b"]]),
        ([Point(1, 2), Point(3, 4)], Point([1, 3], [2, 4])),
        ([{"a": {"b": (1, 2)}}], {"a": {"b": [[1], [2]]}}),
        (["one", "two"], ["one", "two"]),
        ([b"1", b"2"], [b"1", b"2"]),
        ([1, None, 2.5], [1, None, 2.5]),
    ],
)
def test_pseudo_collate(samples: list[Any], expected: Any) -> None:
    """Containers turn inside out, everything else becomes a list."""
    collated = pseudo_collate(samples)
    assert collated == expected
    assert type(collated) is type(expected)


def test_pseudo_collate_stacks_nothing() -> None:
    """Tensors of different shapes go side by side, the very ones."""
    tensors = [torch.zeros(2), torch.zeros(3)]
    assert pseudo_collate(tensors) == tensors
    (left, _) = pseudo_collate([(tensors[0], 0), (tensors[1], 1)])
    assert left[0] is tensors[0]
    assert left[1] is tensors[1]


def test_pseudo_collate_refuses_sequences_of_different_lengths() -> None:
    """It says which lengths it found and what to do."""
    with pytest.raises(DataError, match=r"found \[1, 2\].*collate_fn of your own"):
        pseudo_collate([(1, 2), (3,)])


def test_both_are_found_by_name() -> None:
    """Specs name them."""
    assert FUNCTIONS.get("pseudo_collate") is pseudo_collate
    assert FUNCTIONS.get("default_collate") is default_collate


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (torch.zeros(4, 2), 4),
        (torch.zeros(()), 1),
        (np.zeros((3, 1)), 3),
        ([torch.zeros(5, 2), torch.zeros(5)], 5),
        ((torch.zeros(5), "meta"), 5),
        ({"images": torch.zeros(6, 1), "labels": torch.zeros(6)}, 6),
        ({"inputs": [1, 2, 3]}, 3),
        ([[1, 2], [3, 4], [5, 6]], 2),
        ([1, 2, 3], 3),
        ({}, 0),
        (7, 1),
        (None, 1),
    ],
)
def test_count_samples(batch: Any, expected: int) -> None:
    """From the first thing that has a length."""
    assert count_samples(batch) == expected
