"""Who this process is among those of its machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from torch import distributed

from engine.dist.context import get_default_group, is_distributed
from engine.errors import ConfigError, StateError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["get_local_group", "get_local_rank", "get_local_size", "init_local_group"]

# By the group of all ranks, as torch keeps that one: once for the process. A group
# takes no attributes.
_LOCAL: WeakKeyDictionary[ProcessGroup, ProcessGroup] = WeakKeyDictionary()


def init_local_group(node_rank: int, num_gpus_per_node: int) -> None:
    """Make a group of the ranks of each machine; all ranks call it.

    Args:
        node_rank: This machine's number, from 0.
        num_gpus_per_node: Ranks on each machine; the ranks of one follow each other.

    Raises:
        StateError: There is no group of all ranks, or there is a local one already.
        ConfigError: These numbers do not fit the run's ranks.
    """
    whole = get_default_group()
    if whole is None:
        message = "init_local_group() needs the group of all ranks: init_dist() first"
        raise StateError(message)
    if whole in _LOCAL:
        message = "init_local_group(): this process has its local group already"
        raise StateError(message)
    rank, world = distributed.get_rank(), distributed.get_world_size()
    size = num_gpus_per_node
    if size < 1 or world % size or rank // size != node_rank:
        message = (
            f"init_local_group({node_rank}, {num_gpus_per_node}): rank {rank} of "
            f"{world} is not on machine {node_rank} if each has {size} ranks"
        )
        raise ConfigError(message)
    for node in range(world // size):
        ranks = list(range(node * size, (node + 1) * size))
        group = distributed.new_group(ranks)  # all ranks make all groups
        if node == node_rank:
            _LOCAL[whole] = group


def get_local_group() -> ProcessGroup | None:
    """The group of this machine's ranks; ``None`` without a group of all ranks.

    Raises:
        StateError: ``init_local_group()`` was not called.
    """
    whole = get_default_group()
    if whole is None:
        return None
    if whole not in _LOCAL:
        message = "there is no local group: call init_local_group() on all ranks first"
        raise StateError(message)
    return _LOCAL[whole]


def get_local_rank() -> int:
    """This process's rank on its machine; 0 without a process group.

    That of the local group, and without one what the launcher said.

    Raises:
        StateError: Neither is there.
    """
    group = get_default_group()
    if group in _LOCAL:
        return distributed.get_rank(get_local_group())
    return _told("LOCAL_RANK", 0)


def get_local_size() -> int:
    """Ranks on this machine; 1 without a process group.

    Those of the local group, and without one what the launcher said.

    Raises:
        StateError: Neither is there.
    """
    group = get_default_group()
    if group in _LOCAL:
        return distributed.get_world_size(get_local_group())
    return _told("LOCAL_WORLD_SIZE", 1)


def _told(name: str, alone: int) -> int:
    if not is_distributed():
        return alone
    if name not in os.environ:
        message = (
            f"there is neither a local group nor {name}: call init_local_group() on "
            "all ranks first"
        )
        raise StateError(message)
    return int(os.environ[name])
