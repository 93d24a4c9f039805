"""Ranks, world size, and what ranks do together."""

from engine.dist.collectives import (
    all_gather,
    all_reduce,
    barrier,
    broadcast,
    gather,
    sync_random_seed,
)
from engine.dist.context import (
    get_backend,
    get_default_group,
    get_dist_info,
    get_rank,
    get_world_size,
    is_distributed,
    is_main_process,
    master_only,
)
from engine.dist.control import (
    Exchange,
    any_rank,
    control_group,
    gather_on_all,
    gather_on_main,
    on_main,
    sum_over_ranks,
)
from engine.dist.devices import cast_data_device, get_comm_device, get_data_device
from engine.dist.launch import infer_launcher, init_dist
from engine.dist.local import (
    get_local_group,
    get_local_rank,
    get_local_size,
    init_local_group,
)
from engine.dist.objects import (
    all_gather_object,
    broadcast_object_list,
    gather_object,
)
from engine.dist.reduce import all_reduce_dict, all_reduce_params
from engine.dist.results import (
    collect_results,
    collect_results_cpu,
    collect_results_gpu,
)

__all__ = [
    "Exchange",
    "all_gather",
    "all_gather_object",
    "all_reduce",
    "all_reduce_dict",
    "all_reduce_params",
    "any_rank",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "cast_data_device",
    "collect_results",
    "collect_results_cpu",
    "collect_results_gpu",
    "control_group",
    "gather",
    "gather_object",
    "gather_on_all",
    "gather_on_main",
    "get_backend",
    "get_comm_device",
    "get_data_device",
    "get_default_group",
    "get_dist_info",
    "get_local_group",
    "get_local_rank",
    "get_local_size",
    "get_rank",
    "get_world_size",
    "infer_launcher",
    "init_dist",
    "init_local_group",
    "is_distributed",
    "is_main_process",
    "master_only",
    "on_main",
    "sum_over_ranks",
    "sync_random_seed",
]
