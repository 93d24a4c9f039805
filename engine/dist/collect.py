"""What ranks gather from each other."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from torch import distributed

from engine.dist.context import get_dist_info

__all__ = ["broadcast_object_list", "collect_results"]


def collect_results(
    results: list[Any], size: int, device: str = "cpu", tmpdir: str | None = None
) -> list[Any] | None:
    """The results of all ranks, in the order of the samples, without padding.

    Rank ``r`` of ``w`` has the samples ``r``, ``r + w``, ``r + 2 w`` ... of the dataset.

    Args:
        results: This rank's.
        size: Samples in the dataset; what is beyond them is padding.
        device: ``"cpu"``, or ``"gpu"``, where they meet in memory alone.
        tmpdir: Where they meet on the CPU, on a disk that all ranks see; ``None``: in
            memory.

    Returns:
        On rank 0; elsewhere ``None``.
    """
    rank, world = get_dist_info()
    if world == 1:
        return results[:size]
    if device == "gpu" or tmpdir is None:
        parts: list[Any] = [None] * world
        distributed.all_gather_object(parts, results)
    else:
        parts = _through_files(results, Path(tmpdir), rank, world)
    if rank:
        return None
    longest = max(map(len, parts))
    ordered = [
        part[place] for place in range(longest) for part in parts if place < len(part)
    ]
    return ordered[:size]


def _through_files(
    results: list[Any], folder: Path, rank: int, world: int
) -> list[Any]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"part_{rank}.pkl"
    path.write_bytes(pickle.dumps(results))
    idist.barrier()
    parts: list[Any] = []
    if rank == 0:
        for other in range(world):
            data = (folder / f"part_{other}.pkl").read_bytes()
            parts.append(pickle.loads(data))  # noqa: S301 - the ranks of this run wrote it
    idist.barrier()
    path.unlink()
    return parts


def broadcast_object_list(data: list[Any], src: int = 0) -> None:
    """Let all ranks have what one has.

    Args:
        data: Filled with the one rank's objects; as long on all ranks.
        src: The rank.
    """
    _, world = get_dist_info()
    if world > 1:
        distributed.broadcast_object_list(data, src=src)
