"""Random generators that a dataset keeps to itself, out of the engine's reach."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["find_generators", "find_seeded"]

_KINDS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
_INSIDE = (
    "dataset",
    "datasets",
    "pipeline",
    "target_transform",
    "transform",
    "transforms",
)
_DEPTH = 5


def find_generators(dataset: Any) -> list[str]:
    """Names of attributes that are generators, of a dataset and its transforms.

    Looked for are the attributes of the dataset, of the datasets that it wraps and of
    transforms under their usual names; not in closures or deeper structures.

    >>> class Jitter:
    ...     rng = None
    >>> jitter = Jitter()
    >>> jitter.rng = random.Random(3)
    >>> find_generators(jitter)
    ['Jitter.rng']
    """
    found = []
    for one in _parts(dataset, _DEPTH):
        if hasattr(one, "set_sample_seed"):
            continue  # the engine seeds it
        name = type(one).__name__
        for attribute, value in _attributes(one).items():
            several = value if isinstance(value, list | tuple) else [value]
            if any(isinstance(item, _KINDS) for item in several[:64]):
                found.append(f"{name}.{attribute}")
    return sorted(set(found))


def find_seeded(dataset: Any) -> list[Any]:
    """What takes a seed for each sample: the dataset, or parts of it."""
    found: list[Any] = []
    for one in _parts(dataset, _DEPTH):
        takes = callable(getattr(type(one), "set_sample_seed", None))
        if takes and not any(one is known for known in found):
            found.append(one)
    return found


def _parts(one: Any, depth: int) -> Iterator[Any]:
    """A dataset, the datasets inside it, and transforms."""
    yield one
    if depth == 0:
        return
    attributes = _attributes(one)
    for name in _INSIDE:
        inside = attributes.get(name)
        several = inside if isinstance(inside, list | tuple) else [inside]
        for part in several:
            if part is not None and not isinstance(part, torch.Tensor | np.ndarray):
                yield from _parts(part, depth - 1)


def _attributes(one: Any) -> dict[str, Any]:
    found = getattr(one, "__dict__", {})
    return found if isinstance(found, dict) else {}
