"""DefaultSampler."""

from __future__ import annotations

import pytest

from engine.dataset import DefaultSampler, InfiniteSampler, rank_indices
from engine.errors import DataError
from engine.registry import DATA_SAMPLERS


def test_each_epoch_has_its_own_order() -> None:
    """set_epoch chooses it; going back gives the earlier one again."""
    sampler = DefaultSampler(range(20), seed=4)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    sampler.set_epoch(0)
    assert first != second
    assert list(sampler) == first
    assert sorted(second) == list(range(20))


def test_without_shuffle_the_datasets_order_stays() -> None:
    """In every epoch."""
    sampler = DefaultSampler(range(5), shuffle=False, seed=4)
    sampler.set_epoch(3)
    assert list(sampler) == [0, 1, 2, 3, 4]


def test_a_drawn_seed_stays() -> None:
    """Without a seed two samplers differ, and each repeats itself."""
    one, two = DefaultSampler(range(1000)), DefaultSampler(range(1000))
    assert list(one) == list(one)
    assert list(one) != list(two)


def test_ranks_share_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank gets every world-th place, and its length says how many."""
    seen = []
    for rank in range(3):
        monkeypatch.setattr(
            "engine.dataset.sampler.get_dist_info", lambda rank=rank: (rank, 3)
        )
        sampler = DefaultSampler(range(7), seed=1, round_up=False)
        assert len(sampler) == len(list(sampler))
        assert list(sampler) == rank_indices(
            7, seed=1, epoch=0, shuffle=True, rank=rank, world=3, round_up=False
        )
        seen += list(sampler)
    assert sorted(seen) == list(range(7))


def test_an_empty_dataset_is_refused() -> None:
    """Before anything is read from it."""
    with pytest.raises(DataError, match="list is empty: a sampler needs at least one"):
        DefaultSampler([])
    with pytest.raises(DataError, match="list is empty: a sampler needs at least one"):
        InfiniteSampler([])


def test_it_is_registered() -> None:
    """Specs name it."""
    assert DATA_SAMPLERS.get("DefaultSampler") is DefaultSampler
    assert DATA_SAMPLERS.get("InfiniteSampler") is InfiniteSampler
