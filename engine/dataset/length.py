"""How many batches data has, if it says so."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from engine.errors import DataError

__all__ = ["check_has_batches", "data_length"]


def data_length(data: object) -> int | None:
    """Batches in a pass over ``data``; ``None`` if it has no length.

    >>> data_length([1, 2]), data_length(iter([1, 2]))
    (2, None)
    """
    if not isinstance(data, Sized):
        return None
    try:
        return len(data)
    except TypeError:  # torch's DataLoader over an iterable dataset without a length
        return None


def check_has_batches(data: Any, length: int) -> None:
    """Refuse training data that has no batch.

    Raises:
        DataError: ``length`` is 0; the message tells why, as far as can be seen.
    """
    if length == 0:
        dataset = getattr(data, "dataset", data)
        size = len(dataset) if hasattr(dataset, "__len__") else 0
        drops = " and drop_last leaves none of its batches" if size else ""
        message = (
            f"{type(data).__name__} over {type(dataset).__name__}: {size} samples"
            f"{drops}, so there is no batch to read. Give data with at least one batch."
        )
        raise DataError(message)
