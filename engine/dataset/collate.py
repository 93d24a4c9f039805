"""Samples to a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils.data import default_collate

from engine.errors import DataError
from engine.registry import FUNCTIONS

__all__ = ["count_samples", "default_collate", "pseudo_collate"]


@FUNCTIONS.register_module()
def pseudo_collate(data_batch: Sequence[Any]) -> Any:
    """Turn a list of samples into one sample of lists, without stacking tensors.

    Samples that are mappings give a mapping of lists, tuples and lists a list of
    lists, named tuples a named tuple of lists; anything else stays a list of samples.

    Raises:
        DataError: The samples are sequences of different lengths.

    >>> pseudo_collate([{"x": 1, "y": (2, 3)}, {"x": 4, "y": (5, 6)}])
    {'x': [1, 4], 'y': [[2, 5], [3, 6]]}
    """
    first = data_batch[0]
    if isinstance(first, str | bytes):
        return list(data_batch)
    if isinstance(first, Mapping):
        return type(first)(  # type: ignore[call-arg]  # mappings built from a dict
            {key: pseudo_collate([one[key] for one in data_batch]) for key in first}
        )
    if isinstance(first, Sequence):
        lengths = {len(one) for one in data_batch}
        if len(lengths) > 1:
            message = (
                "pseudo_collate: each sample of a batch must have as many elements, "
                f"found {sorted(lengths)}. Give the loader a collate_fn of your own."
            )
            raise DataError(message)
        columns = [pseudo_collate(one) for one in zip(*data_batch, strict=True)]
        if isinstance(first, tuple) and hasattr(first, "_fields"):
            return type(first)(*columns)
        return columns
    return list(data_batch)


FUNCTIONS.register_module(name="default_collate", module=default_collate)


def count_samples(batch: Any) -> int:
    """How many samples a batch holds, from the first thing in it that has a length.

    Args:
        batch: A tensor or array (its first dimension), a mapping or sequence of such.

    Returns:
        The count; 1 where nothing tells.

    >>> count_samples({"x": [1, 2, 3]}), count_samples(5)
    (3, 1)
    """
    shape = getattr(batch, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else 1
    if isinstance(batch, tuple | list):
        first = batch[0] if batch else None
        if hasattr(first, "shape") or isinstance(first, list):
            return count_samples(first)
        return len(batch)
    if not isinstance(batch, int | float) and isinstance(batch, Mapping):
        return count_samples(next(iter(batch.values()))) if batch else 0
    return 1
