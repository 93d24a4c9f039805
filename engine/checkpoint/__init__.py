"""Checkpoints: what they hold, capturing and restoring, the store, retention."""

from engine.checkpoint.capture import capture, restore
from engine.checkpoint.difference import (
    Difference,
    compare_checkpoints,
    find_differences,
    split_parts,
)
from engine.checkpoint.format import check
from engine.checkpoint.frozen import HostCopy
from engine.checkpoint.parts import Parts
from engine.checkpoint.retention import choose
from engine.checkpoint.store import (
    Store,
    find_latest_checkpoint,
    make_writable,
    read,
)
from engine.checkpoint.weights import (
    find_weights,
    load_checkpoint,
    load_state_dict,
)

__all__ = [
    "Difference",
    "HostCopy",
    "Parts",
    "Store",
    "capture",
    "check",
    "choose",
    "compare_checkpoints",
    "find_differences",
    "find_latest_checkpoint",
    "find_weights",
    "load_checkpoint",
    "load_state_dict",
    "make_writable",
    "read",
    "restore",
    "split_parts",
]
