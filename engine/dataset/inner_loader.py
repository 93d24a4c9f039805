"""A loader like the user's, but for what it samples from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

if TYPE_CHECKING:
    from engine.dataset.worker import WorkerStart

__all__ = ["make_inner"]


def make_inner(
    loader: DataLoader[Any], dataset: Any, start: WorkerStart, **changes: Any
) -> DataLoader[Any]:
    """A loader with the user's settings over a wrapped dataset.

    Batches come in the order of their numbers even where the user's loader allows
    others, and workers' base seed from a generator of its own, so that training's
    stays in place.

    Args:
        loader: The user's.
        dataset: What is loaded from.
        start: What its workers begin with.
        changes: Further arguments of ``DataLoader``, in place of the user's.
    """
    settings = {
        "num_workers": loader.num_workers,
        "collate_fn": loader.collate_fn,
        "pin_memory": loader.pin_memory,
        "timeout": loader.timeout,
        "worker_init_fn": start if loader.num_workers else None,
        "multiprocessing_context": loader.multiprocessing_context,
        "generator": torch.Generator(),
        "prefetch_factor": loader.prefetch_factor,
        "persistent_workers": loader.persistent_workers,
        "pin_memory_device": loader.pin_memory_device,
    }
    return DataLoader(dataset, **{**settings, **changes})
