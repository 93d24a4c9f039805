"""Checkpoints: what they hold, capturing and restoring, the store, retention."""

from engine.checkpoint.capture import capture, examine, restore
from engine.checkpoint.format import check
from engine.checkpoint.frozen import HostCopy
from engine.checkpoint.parts import Parts
from engine.checkpoint.peek import first_log_folder
from engine.checkpoint.retention import choose
from engine.checkpoint.store import (
    Store,
    find_latest_checkpoint,
    make_writable,
    read,
)
from engine.checkpoint.weights import load_checkpoint, load_state_dict

__all__ = [
    "HostCopy",
    "Parts",
    "Store",
    "capture",
    "check",
    "choose",
    "examine",
    "find_latest_checkpoint",
    "first_log_folder",
    "load_checkpoint",
    "load_state_dict",
    "make_writable",
    "read",
    "restore",
]
