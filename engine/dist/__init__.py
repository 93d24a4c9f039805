"""Ranks and world size."""

from engine.dist.context import (
    get_dist_info,
    get_rank,
    get_world_size,
    is_main_process,
)

__all__ = ["get_dist_info", "get_rank", "get_world_size", "is_main_process"]
