"""The tests' own tool for ranks."""

from __future__ import annotations

import pytest
import torch
from torch import distributed

from engine.dist import get_dist_info
from tests.ranks import run_ranks

pytestmark = pytest.mark.distributed


def summed(start: int) -> tuple[tuple[int, int], int]:
    """This rank, and a sum over all."""
    value = torch.tensor(start + get_dist_info()[0])
    distributed.all_reduce(value)
    return get_dist_info(), int(value)


def fails_on_rank_1() -> None:
    """One rank fails, the other waits for it."""
    if get_dist_info()[0] == 1:
        message = "it broke here"
        raise ValueError(message)
    distributed.all_reduce(torch.zeros(1))


def test_each_rank_returns_what_it_found() -> None:
    """In the order of ranks, from one group."""
    assert run_ranks(summed, 3, 10) == [((rank, 3), 33) for rank in range(3)]


def test_a_failure_is_told_with_its_rank() -> None:
    """And the rank that waited ends too."""
    with pytest.raises(AssertionError, match=r"rank 1 \(exit 1\):[\s\S]*it broke here"):
        run_ranks(fails_on_rank_1, 2)
