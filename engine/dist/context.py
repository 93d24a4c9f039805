"""Who this process is among those of the run."""

from __future__ import annotations

import ignite.distributed as idist

__all__ = ["get_dist_info", "get_rank", "get_world_size", "is_main_process"]


def get_rank() -> int:
    """This process's rank; 0 without a process group."""
    return idist.get_rank()


def get_world_size() -> int:
    """Processes in the run; 1 without a process group."""
    return idist.get_world_size()


def get_dist_info() -> tuple[int, int]:
    """Rank and world size."""
    return get_rank(), get_world_size()


def is_main_process() -> bool:
    """Whether this is rank 0, which writes files and logs."""
    return get_rank() == 0
