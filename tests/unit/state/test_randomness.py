"""Seeding and determinism: what the properties in tests/property leave open."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from engine.errors import SerializationError
from engine.state import (
    capture_randomness,
    draw_seed,
    fence,
    restore_randomness,
    set_random_seed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _own_settings() -> Iterator[None]:
    """Put the generators and torch's choice of operations back."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    cudnn = torch.backends.cudnn
    flags = (cudnn.benchmark, cudnn.deterministic)
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    with fence():
        yield
    torch.use_deterministic_algorithms(deterministic)
    cudnn.benchmark, cudnn.deterministic = flags
    if workspace is None:
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def numbers() -> list[float]:
    """One number from each generator."""
    return [random.random(), float(np.random.rand()), torch.rand(()).item()]


def test_a_seed_is_drawn_if_none_is_given() -> None:
    """It is returned, so that the run can be repeated."""
    seed = set_random_seed(None)
    first = numbers()
    assert set_random_seed(seed) == seed
    assert numbers() == first


def test_drawn_seeds_differ_and_do_not_come_from_the_generators() -> None:
    """Two runs that were seeded alike still draw seeds of their own."""
    set_random_seed(1)
    one = {draw_seed() for _ in range(4)}
    set_random_seed(1)
    other = {draw_seed() for _ in range(4)}
    assert len(one | other) > 4
    assert all(0 <= seed < 2**32 for seed in one | other)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "7"])
def test_a_seed_out_of_range_is_refused(seed: Any) -> None:
    """The error says what is allowed."""
    with pytest.raises(ValueError, match=r"^randomness\.seed=.*from 0 to 4294967295"):
        set_random_seed(seed)


def test_ranks_may_have_generators_of_their_own() -> None:
    """With ``diff_rank_seed`` they differ, without it they do not; the seed stays."""
    drawn = {}
    for different in (False, True):
        for rank in (0, 1):
            seed = set_random_seed(5, diff_rank_seed=different, rank=rank)
            assert seed == 5
            drawn[different, rank] = numbers()
    assert drawn[False, 0] == drawn[False, 1] == drawn[True, 0]
    assert drawn[True, 0] != drawn[True, 1]


def test_the_last_rank_of_the_last_seed_has_a_seed() -> None:
    """Adding the rank stays within what NumPy takes."""
    assert set_random_seed(2**32 - 1, diff_rank_seed=True, rank=3) == 2**32 - 1


def test_determinism_is_torchs() -> None:
    """Deterministic operations only, and cuDNN does not choose by timing."""
    torch.backends.cudnn.benchmark = True
    set_random_seed(0, deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"]


@pytest.mark.parametrize("state", [None, [], {}, {"format": 1}])
def test_something_else_is_no_captured_state(state: Any) -> None:
    """The error says what was expected and what was found."""
    with pytest.raises(SerializationError, match=r"^random generators: expected form"):
        restore_randomness(state)


def test_another_format_is_refused() -> None:
    """Generators are not set from what a later release saved."""
    with pytest.raises(SerializationError, match="expected format 1"):
        restore_randomness({**capture_randomness(), "format": 2})
