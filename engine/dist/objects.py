"""What all ranks do together with objects that can be pickled.

Only among the processes of one run, which trust each other: what comes is unpickled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import distributed

from engine.dist.context import get_rank, get_world_size

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["all_gather_object", "broadcast_object_list", "gather_object"]


def all_gather_object(data: Any, group: ProcessGroup | None = None) -> list[Any]:
    """Each rank's object, in the order of ranks.

    Args:
        data: This rank's.
        group: Whose ranks; ``None``: all.

    Returns:
        Copies; without other ranks ``data`` itself.
    """
    world = get_world_size(group)
    if world <= 1:
        return [data]
    found: list[Any] = [None] * world
    distributed.all_gather_object(found, data, group=group)
    return found


def gather_object(
    data: Any, dst: int = 0, group: ProcessGroup | None = None
) -> list[Any] | None:
    """Each rank's object, in the order of ranks, on one rank.

    Args:
        data: This rank's.
        dst: The rank, counted among all.
        group: Whose ranks; ``None``: all.

    Returns:
        On ``dst`` copies, elsewhere ``None``; without other ranks ``data`` itself.
    """
    world = get_world_size(group)
    if world <= 1:
        return [data]
    found: list[Any] | None = [None] * world if get_rank() == dst else None
    distributed.gather_object(data, found, dst=dst, group=group)
    return found


def broadcast_object_list(
    data: list[Any], src: int = 0, group: ProcessGroup | None = None
) -> None:
    """Let all ranks have what one has.

    Args:
        data: Filled with the one rank's objects; as long on all ranks.
        src: The rank, counted among all.
        group: Whose ranks; ``None``: all.
    """
    if get_world_size(group) > 1:
        distributed.broadcast_object_list(data, src=src, group=group)
