"""Ranks, world size, and what ranks do together."""

from engine.dist.collect import broadcast_object_list, collect_results
from engine.dist.collectives import average
from engine.dist.context import (
    get_dist_info,
    get_rank,
    get_world_size,
    is_main_process,
)

__all__ = [
    "average",
    "broadcast_object_list",
    "collect_results",
    "get_dist_info",
    "get_rank",
    "get_world_size",
    "is_main_process",
]
