"""Who this process is among those of the run.

These ask torch, not Ignite: Ignite's first answer is a collective of its own (it counts
the processes of each node), in which a rank that asks alone would wait for ever.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from torch import distributed

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.distributed import ProcessGroup

__all__ = [
    "get_backend",
    "get_default_group",
    "get_dist_info",
    "get_rank",
    "get_world_size",
    "is_distributed",
    "is_main_process",
    "master_only",
]

P = ParamSpec("P")
R = TypeVar("R")


def is_distributed() -> bool:
    """Whether this process is in a process group."""
    return distributed.is_available() and distributed.is_initialized()


def get_default_group() -> ProcessGroup | None:
    """The group of all ranks; ``None`` without one."""
    return distributed.group.WORLD if is_distributed() else None


def get_backend(group: ProcessGroup | None = None) -> str | None:
    """Name of a group's backend in lower case; ``None`` without a group.

    Args:
        group: Of which this process is; ``None``: that of all ranks.
    """
    return distributed.get_backend(group) if is_distributed() else None


def get_rank(group: ProcessGroup | None = None) -> int:
    """This process's rank; 0 without a process group, -1 outside of ``group``.

    Args:
        group: Where it is counted; ``None``: among all ranks.
    """
    return distributed.get_rank(group) if is_distributed() else 0


def get_world_size(group: ProcessGroup | None = None) -> int:
    """Processes in a group; 1 without one, -1 outside of ``group``.

    Args:
        group: ``None``: that of all ranks.
    """
    return distributed.get_world_size(group) if is_distributed() else 1


def get_dist_info(group: ProcessGroup | None = None) -> tuple[int, int]:
    """Rank and world size.

    Args:
        group: ``None``: that of all ranks.
    """
    return get_rank(group), get_world_size(group)


def is_main_process(group: ProcessGroup | None = None) -> bool:
    """Whether this is rank 0, which writes files and logs.

    Args:
        group: Whose rank 0; ``None``: that of all ranks.
    """
    return get_rank(group) == 0


def master_only(func: Callable[P, R]) -> Callable[P, R | None]:
    """A function that rank 0 calls, and on other ranks does nothing.

    Args:
        func: No collective: the others would not take part.

    Returns:
        One that returns ``None`` on other ranks.

    >>> master_only(len)("abc")
    3
    """

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> R | None:
        return func(*args, **kwargs) if is_main_process() else None

    return call
