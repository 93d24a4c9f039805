"""How many batches data has, if it says so."""

from __future__ import annotations

from collections.abc import Sized

__all__ = ["data_length"]


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
