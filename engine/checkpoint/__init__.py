"""Checkpoints: what they hold, capturing and restoring, the store, retention."""

from engine.checkpoint.capture import capture, examine, restore
from engine.checkpoint.convert import as_ours, is_mmengine
from engine.checkpoint.difference import (
    Difference,
    compare_checkpoints,
    find_differences,
    split_parts,
)
from engine.checkpoint.format import check
from engine.checkpoint.frozen import HostCopy
from engine.checkpoint.loader import CheckpointLoader
from engine.checkpoint.local_storage import make_writable
from engine.checkpoint.location import (
    Location,
    is_url,
    join,
    name_of,
    parent_of,
    place,
)
from engine.checkpoint.manifest import Manifest
from engine.checkpoint.parts import Parts
from engine.checkpoint.peek import first_log_folder
from engine.checkpoint.pieces import (
    Divided,
    Layout,
    MeshLayout,
    divide,
    is_sharded,
    keep_part,
    laid_as,
    map_leaves,
)
from engine.checkpoint.publish import publish
from engine.checkpoint.ranks import gather_ranks, of_rank
from engine.checkpoint.reading import read, verify
from engine.checkpoint.retention import choose
from engine.checkpoint.room import Room, count_files, count_saves, tree_bytes
from engine.checkpoint.store import (
    Store,
    check_writable,
    find_latest_checkpoint,
    save_checkpoint,
)
from engine.checkpoint.weights import (
    find_weights,
    get_state_dict,
    load_checkpoint,
    load_state_dict,
    weights_to_cpu,
)
from engine.checkpoint.writer import Writer

__all__ = [
    "CheckpointLoader",
    "Difference",
    "Divided",
    "HostCopy",
    "Layout",
    "Location",
    "Manifest",
    "MeshLayout",
    "Parts",
    "Room",
    "Store",
    "Writer",
    "as_ours",
    "capture",
    "check",
    "check_writable",
    "choose",
    "compare_checkpoints",
    "count_files",
    "count_saves",
    "divide",
    "examine",
    "find_differences",
    "find_latest_checkpoint",
    "find_weights",
    "first_log_folder",
    "gather_ranks",
    "get_state_dict",
    "is_mmengine",
    "is_sharded",
    "is_url",
    "join",
    "keep_part",
    "laid_as",
    "load_checkpoint",
    "load_state_dict",
    "make_writable",
    "map_leaves",
    "name_of",
    "of_rank",
    "parent_of",
    "place",
    "publish",
    "read",
    "restore",
    "save_checkpoint",
    "split_parts",
    "tree_bytes",
    "verify",
    "weights_to_cpu",
]
