"""Which sample stands where."""

from __future__ import annotations

import pytest

from engine.dataset import (
    global_position,
    padded_length,
    permutation,
    rank_indices,
)


def test_permutation_is_the_documented_one() -> None:
    """Known values: the order is a promise to runs that were begun earlier."""
    assert permutation(6, seed=0, epoch=0) == [2, 5, 3, 0, 1, 4]
    assert permutation(6, seed=1, epoch=2) == permutation(6, seed=3, epoch=0)
    assert permutation(0, seed=0, epoch=0) == []


@pytest.mark.parametrize(
    ("length", "world", "round_up", "expected"),
    [(10, 4, True, 12), (10, 4, False, 10), (8, 4, True, 8), (3, 7, True, 7)],
)
def test_padded_length(length: int, world: int, round_up: bool, expected: int) -> None:
    """Rounded up to a multiple of the world, or left as it is."""
    assert padded_length(length, world=world, round_up=round_up) == expected


def test_ranks_take_turns_and_padding_comes_from_the_start() -> None:
    """Five samples for three ranks: the sixth place holds the first sample again."""
    ranks = [
        rank_indices(5, seed=0, epoch=0, shuffle=False, rank=rank, world=3)
        for rank in range(3)
    ]
    assert ranks == [[0, 3], [1, 4], [2, 0]]


def test_padding_wraps_as_often_as_it_must() -> None:
    """Two samples for five ranks."""
    ranks = [
        rank_indices(2, seed=0, epoch=0, shuffle=False, rank=rank, world=5)
        for rank in range(5)
    ]
    assert ranks == [[0], [1], [0], [1], [0]]


def test_positions_undo_the_dealing() -> None:
    """A rank's k-th sample stands at place k * world + rank."""
    assert [global_position(k, rank=2, world=3) for k in range(3)] == [2, 5, 8]
