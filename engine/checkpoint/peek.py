"""What a checkpoint says of its run, without reading its tensors."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from engine.checkpoint.location import Location, place
from engine.checkpoint.store import Store, find_latest_checkpoint

if TYPE_CHECKING:
    import os

__all__ = ["first_log_folder"]


def first_log_folder(path: str | os.PathLike[str]) -> str | None:
    """Name of the folder that a run's first start logs into.

    Args:
        path: A checkpoint of the run, or a folder: its newest one that can be read.

    Returns:
        ``None`` if there is no local checkpoint that says so.
    """
    for file in _candidates(place(path)):
        try:
            # Memory-mapped: tensors are not read before they are looked at.
            found = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError):
            continue  # damaged: who resumes from it says so
        meta = found.get("meta") if isinstance(found, Mapping) else None
        name = meta.get("log_folder") if isinstance(meta, Mapping) else None
        if isinstance(name, str) and name == Path(name).name:
            return name
    return None


def _candidates(path: Location) -> list[Path]:
    if not isinstance(path, Path):
        return []  # a URL: nothing of it is read twice
    if not path.is_dir():
        return [path] if path.is_file() else []
    store = Store(path)
    named = find_latest_checkpoint(path)
    if named is not None and not isinstance(place(named), Path):
        # The newest ones are in an object store, which is asked once, by who resumes.
        found = store.ordered()
    else:
        found = store.candidates()
    return [one for one in found if isinstance(one, Path)]
