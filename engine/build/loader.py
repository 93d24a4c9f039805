"""A dataloader from its spec."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch.utils.data import DataLoader, SequentialSampler

from engine.config import at
from engine.dataset import DefaultSampler, pseudo_collate
from engine.dist import get_world_size
from engine.errors import ConfigError, a_type, did_you_mean
from engine.registry import DATA_SAMPLERS, DATASETS, FUNCTIONS

__all__ = ["build_dataloader"]

_KNOWN = set(inspect.signature(DataLoader).parameters)


def build_dataloader(
    dataloader: Any, *, seed: int | None, where: str = "dataloader"
) -> Any:
    """A dataloader from its spec; a finished one passes through.

    Args:
        dataloader: Anything iterable, or a spec: ``dataset`` (a spec or an object),
            ``sampler`` or ``batch_sampler`` (likewise), ``collate_fn`` (default
            ``pseudo_collate``) and ``worker_init_fn`` (a name, a callable, or a mapping
            with ``type`` and further arguments), and whatever ``DataLoader`` takes.
        seed: Given to samplers that the spec describes.
        where: What messages call it.

    Raises:
        ConfigError: Something is missing, unknown, or of the wrong kind.
    """
    if not isinstance(dataloader, Mapping):
        return _checked(f"{where}: ", dataloader, "a loader or a spec of one")
    spec = dict(dataloader)
    _check_keys(spec, where)
    dataset = spec.pop("dataset")
    if isinstance(dataset, Mapping):
        with at("dataset"):
            dataset = DATASETS.build(dataset)
    if not hasattr(dataset, "__getitem__") and not hasattr(dataset, "__iter__"):
        message = (
            f"{where}: dataset is {a_type(dataset)}, expected a Dataset, a sequence or "
            "a spec of one"
        )
        raise ConfigError(message)
    if callable(getattr(dataset, "full_init", None)):
        dataset.full_init()
    _build_parts(spec, dataset, seed)
    workers = spec.get("num_workers", 0)
    if not isinstance(workers, int) or isinstance(workers, bool):
        message = f"{where}: num_workers={workers!r}: give a number of processes"
        raise ConfigError(message)
    try:
        return DataLoader(dataset, **spec)
    except ValueError as error:  # options that rule each other out
        message = f"{where}: {error}"
        raise ConfigError(message) from error


def _check_keys(spec: dict[str, Any], where: str) -> None:
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


def _build_parts(spec: dict[str, Any], dataset: Any, seed: int | None) -> None:
    """Put finished samplers and functions in the place of those that ``spec`` has."""
    if _shares_need_sampler(spec, dataset):
        shuffle = bool(spec.pop("shuffle", False))
        spec["sampler"] = DefaultSampler(dataset, shuffle=shuffle, seed=seed)
    for name in ("sampler", "batch_sampler"):
        if spec.get(name) is None:
            continue
        with at(name):
            if isinstance(spec[name], Mapping):
                spec[name] = _build_sampler(spec, name, dataset, seed)
            _checked("", spec[name], "a sampler or a spec of one")
    spec.setdefault("collate_fn", pseudo_collate)
    for name in ("collate_fn", "worker_init_fn"):
        if name in spec:
            with at(name):
                spec[name] = _build_function(spec[name])


def _shares_need_sampler(spec: Mapping[str, Any], dataset: Any) -> bool:
    """Whether ranks would each read all of the data: then each gets its share.

    The global order is the one that a process alone reads.
    """
    given = spec.get("sampler") is not None or spec.get("batch_sampler") is not None
    by_index = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    return get_world_size() > 1 and not given and by_index


def _checked(start: str, part: Any, expected: str) -> Any:
    """A finished part that can be iterated, as text can too, but is not meant."""
    if isinstance(part, str) or not hasattr(part, "__iter__"):
        message = f"{start}expected {expected}, found {a_type(part)}"
        raise ConfigError(message)
    return part


def _build_function(function: Any) -> Any:
    """A function from its name, or from a spec with some of its arguments."""
    given = dict(function) if isinstance(function, Mapping) else {"type": function}
    if "type" not in given:
        message = f"expected 'type', a function or its name; found {sorted(given)}"
        raise ConfigError(message)
    called = given.pop("type")
    if called is None and not given:  # collate_fn=None is DataLoader's default
        return None
    called = FUNCTIONS.get(called) if isinstance(called, str) else called
    if not callable(called):
        message = f"expected a function, its name or a spec, found {a_type(called)}"
        raise ConfigError(message)
    return partial(called, **given) if given else called


def _build_sampler(
    spec: dict[str, Any], name: str, dataset: Any, seed: int | None
) -> Any:
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
