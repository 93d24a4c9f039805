"""How much disk checkpoints need, compared with runs that are acted out."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st

from engine.checkpoint import Room, choose, count_files, count_saves, tree_bytes


@given(
    done=st.integers(0, 12),
    end=st.integers(0, 12),
    interval=st.integers(-1, 5),
    begin=st.integers(0, 9),
    last=st.booleans(),
)
def test_saves_are_those_that_the_hook_makes(
    done: int, end: int, interval: int, begin: int, last: bool
) -> None:
    """Counted one by one, by the rule of CheckpointHook."""
    due = [
        number
        for number in range(done + 1, end + 1)
        if (interval > 0 and number > begin and (number - begin) % interval == 0)
        or (last and number == end)
    ]
    assert count_saves(done, end, interval=interval, begin=begin, last=last) == len(due)


@given(
    saves=st.integers(0, 9),
    keep=st.sampled_from([-1, 0, 1, 2, 4]),
    kept=st.integers(0, 5),
    best=st.integers(0, 2),
)
@example(saves=3, keep=1, kept=5, best=0)
def test_files_are_the_most_that_lie_there_at_once(
    saves: int, keep: int, kept: int, best: int
) -> None:
    """A new file comes before the old ones go; the best are improved at the end."""
    there = [f"old_{number}" for number in range(kept)]
    peak = 0
    for number in range(saves):
        there.append(f"new_{number}")
        peak = max(peak, len(there))
        for name in choose(there, keep):
            there.remove(name)
    if best:  # one of them improves once more when all are there
        peak = max(peak, len(there) + best + 1)
    found = count_files(saves, keep=keep, kept=kept, best=best)
    assert kept + found >= peak
    if keep < 0 or kept <= keep:  # else the first save makes the need smaller
        assert kept + found == max(peak, kept)


def test_a_need_is_compared_with_what_is_free() -> None:
    """Where nobody knows what is free, nothing is short."""
    assert Room(3, 100, 299).is_short
    assert not Room(3, 100, 300).is_short
    assert not Room(3, 100, None).is_short


def test_shared_memory_counts_once() -> None:
    """Tied weights and views are one storage."""
    weight = torch.zeros(10)
    tree = {"a": weight, "b": [weight[:5], (torch.zeros(3), "text")], "c": 1}
    assert tree_bytes(tree) == 40 + 12
