"""A dataloader from its spec."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch.utils.data import DataLoader, SequentialSampler

from engine.dataset import pseudo_collate
from engine.errors import ConfigError, did_you_mean
from engine.registry import DATA_SAMPLERS, DATASETS, FUNCTIONS

__all__ = ["build_dataloader"]

_KNOWN = set(inspect.signature(DataLoader).parameters)


def build_dataloader(dataloader: Any, *, seed: int, where: str = "dataloader") -> Any:
    """A dataloader from its spec; a finished one passes through.

    Args:
        dataloader: Anything iterable, or a spec: ``dataset`` (a spec or an object),
            ``sampler`` or ``batch_sampler`` (likewise), ``collate_fn`` (a name or a
            callable; default ``pseudo_collate``) and whatever ``DataLoader`` takes.
        seed: Given to samplers that the spec describes.
        where: What messages call it.

    Raises:
        ConfigError: Something is missing, unknown, or of the wrong kind.
    """
    if not isinstance(dataloader, Mapping):
        return dataloader
    spec = dict(dataloader)
    if "dataset" not in spec:
        message = f"{where}: needs 'dataset', found {sorted(spec)}"
        raise ConfigError(message)
    for key in spec:
        if key not in _KNOWN:
            message = (
                f"{where}: DataLoader has no argument {key!r}."
                f"{did_you_mean(key, _KNOWN)}"
            )
            raise ConfigError(message)
    dataset = spec.pop("dataset")
    if isinstance(dataset, Mapping):
        dataset = DATASETS.build(dataset)
    if callable(getattr(dataset, "full_init", None)):
        dataset.full_init()
    for name in ("sampler", "batch_sampler"):
        if isinstance(spec.get(name), Mapping):
            spec[name] = _build_sampler(spec, name, dataset, seed)
    collate = spec.get("collate_fn", pseudo_collate)
    spec["collate_fn"] = FUNCTIONS.get(collate) if isinstance(collate, str) else collate
    return DataLoader(dataset, **spec)


def _build_sampler(spec: dict[str, Any], name: str, dataset: Any, seed: int) -> Any:
    if name == "sampler":
        given = {"dataset": dataset, "seed": seed}
        return DATA_SAMPLERS.build(spec[name], **given)
    # A batch sampler is built around the sampler, and takes the batch's size over.
    sampler = spec.pop("sampler", None)
    given = {
        "sampler": SequentialSampler(dataset) if sampler is None else sampler,
        "batch_size": spec.pop("batch_size", 1),  # DataLoader's defaults
    }
    return DATA_SAMPLERS.build(spec[name], **given)
