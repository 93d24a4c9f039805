"""How much disk the checkpoints to come need: decided from numbers alone."""

from __future__ import annotations

from typing import Any

import torch
from attrs import frozen

from engine.checkpoint.pieces import is_sharded, map_leaves
from engine.checkpoint.tree import strided_tensors
from engine.units import size_text

__all__ = ["Room", "count_files", "count_saves", "tree_bytes"]

_KIB = 1024


def count_saves(
    done: int, end: int, *, interval: int, begin: int = 0, last: bool = True
) -> int:
    """How often a run saves after ``done`` of ``end`` epochs (or iterations).

    Args:
        done: Finished ones, at least 0.
        end: Those of the whole run.
        interval: Between two saves; below 1: none.
        begin: From where the interval is counted.
        last: Whether it also saves after the last one.

    >>> count_saves(0, 7, interval=2, begin=2)  # 4, 6, and 7 as the last
    3
    """
    if end <= done:
        return 0
    regular = 0
    if interval > 0:
        regular = max(end - begin, 0) // interval - max(done - begin, 0) // interval
    on_the_last = interval > 0 and end > begin and (end - begin) % interval == 0
    return regular + (last and not on_the_last)


def count_files(
    saves: int, *, keep: int, kept: int = 0, best: int = 0, best_kept: int = 0
) -> int:
    """How many files more than now there will be at once, at most.

    A new file is durable before the one that it replaces goes, and one is written at a
    time.

    Args:
        saves: To come at the interval.
        keep: How many of these stay, at least 1; -1: all.
        kept: How many of these are there now.
        best: Metrics whose best checkpoint is kept.
        best_kept: Files of these that are there now.

    >>> (
    ...     count_files(10, keep=3),
    ...     count_files(10, keep=-1),
    ...     count_files(10, keep=3, kept=3),
    ... )
    (4, 10, 1)
    """
    everything = kept + saves
    stay = everything if keep < 0 else min(everything, max(keep, 1))
    replaced = stay < everything or best > 0
    return max(stay - kept, 0) + max(best - best_kept, 0) + replaced


@frozen
class Room:
    """What checkpoints will need, and what there is.

    Args:
        files: That will be added at most.
        size_bytes: Of one of them.
        free_bytes: On their disk; ``None`` where nobody knows.
    """

    files: int
    size_bytes: int
    free_bytes: int | None

    @property
    def needed_bytes(self) -> int:
        """Of all of them together."""
        return self.files * self.size_bytes

    @property
    def is_short(self) -> bool:
        """Whether the disk is known to be too small."""
        return self.free_bytes is not None and self.needed_bytes > self.free_bytes

    def __str__(self) -> str:
        """One sentence.

        >>> str(Room(3, 200 * 2**20, 500 * 2**20))
        '3 x 200.0 MiB = 600.0 MiB for checkpoints, 500.0 MiB are free'
        """
        of_one, of_all = size_text(self.size_bytes), size_text(self.needed_bytes)
        free = (
            ""
            if self.free_bytes is None
            else f", {size_text(self.free_bytes)} are free"
        )
        return f"{self.files} x {of_one} = {of_all} for checkpoints{free}"


def tree_bytes(tree: Any) -> int:
    """Bytes of the tensors in a tree; memory that several share counts once.

    Of tensors that lie over ranks those of all ranks together.

    Args:
        tree: Mappings, lists, tuples, tensors and plain values.
    """
    storages = {
        (one.device, one.data_ptr(), one.nbytes()): one.nbytes()
        for one in map(torch.Tensor.untyped_storage, strided_tensors(tree))
    }
    whole = 0

    def add(value: Any) -> None:
        nonlocal whole
        whole += value.nbytes if is_sharded(value) else 0

    map_leaves(tree, add)
    return sum(storages.values()) + whole
