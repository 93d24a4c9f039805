"""Ranks, world size, and what ranks do together."""

from engine.dist.collect import broadcast_object_list, collect_results
from engine.dist.collectives import average
from engine.dist.context import (
    get_dist_info,
    get_rank,
    get_world_size,
    is_main_process,
)
from engine.dist.control import (
    Exchange,
    any_rank,
    control_group,
    gather_on_all,
    gather_on_main,
    on_main,
)

__all__ = [
    "Exchange",
    "any_rank",
    "average",
    "broadcast_object_list",
    "collect_results",
    "control_group",
    "gather_on_all",
    "gather_on_main",
    "get_dist_info",
    "get_rank",
    "get_world_size",
    "is_main_process",
    "on_main",
]
