"""The results of an evaluation, of all ranks, in the order of the samples."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from engine.dist.collectives import barrier
from engine.dist.context import get_dist_info
from engine.dist.objects import gather_object
from engine.errors import ConfigError

__all__ = ["collect_results", "collect_results_cpu", "collect_results_gpu"]

_DEVICES = ("cpu", "gpu", "npu")


def collect_results(
    results: list[Any], size: int, device: str = "cpu", tmpdir: str | None = None
) -> list[Any] | None:
    """The results of all ranks, in the order of the samples, without padding.

    Rank ``r`` of ``w`` has the samples ``r``, ``r + w``, ``r + 2 w`` ... of the data.

    Args:
        results: This rank's.
        size: Samples in the dataset; what is beyond them is padding.
        device: ``"cpu"``, or ``"gpu"``, where they meet in memory alone.
        tmpdir: Where they meet on the CPU, on a disk that all ranks see; ``None``: in
            memory.

    Returns:
        On rank 0; elsewhere ``None``.

    Raises:
        ConfigError: ``device`` is something else, or has no use for ``tmpdir``.
    """
    if device not in _DEVICES:
        message = f"collect_results(): device={device!r}: give {', '.join(_DEVICES)}"
        raise ConfigError(message)
    if device == "cpu":
        return collect_results_cpu(results, size, tmpdir)
    if tmpdir is not None:
        message = (
            f"collect_results(): tmpdir={tmpdir!r} is where results meet on the CPU, "
            f"but device is {device!r}: give one of them"
        )
        raise ConfigError(message)
    return collect_results_gpu(results, size)


def collect_results_cpu(
    result_part: list[Any], size: int, tmpdir: str | None = None
) -> list[Any] | None:
    """As :func:`collect_results`, through files if a folder is given.

    Args:
        result_part: This rank's.
        size: Samples in the dataset.
        tmpdir: On a disk that all ranks see; ``None``: in memory.
    """
    rank, world = get_dist_info()
    if world == 1 or tmpdir is None:
        return _in_order(gather_object(result_part), size)
    return _in_order(_through_files(result_part, Path(tmpdir), rank, world), size)


def collect_results_gpu(result_part: list[Any], size: int) -> list[Any] | None:
    """As :func:`collect_results`, over the run's own connections.

    Args:
        result_part: This rank's.
        size: Samples in the dataset.
    """
    return _in_order(gather_object(result_part), size)


def _in_order(parts: list[list[Any]] | None, size: int) -> list[Any] | None:
    if parts is None:
        return None
    longest = max(map(len, parts))
    ordered = [
        part[place] for place in range(longest) for part in parts if place < len(part)
    ]
    return ordered[:size]


def _through_files(
    results: list[Any], folder: Path, rank: int, world: int
) -> list[list[Any]] | None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"part_{rank}.pkl"
    path.write_bytes(pickle.dumps(results))
    barrier()
    parts: list[list[Any]] | None = None
    if rank == 0:
        files = [folder / f"part_{other}.pkl" for other in range(world)]
        parts = [pickle.loads(file.read_bytes()) for file in files]  # noqa: S301 - the ranks of this run wrote them
    barrier()
    path.unlink()
    return parts
