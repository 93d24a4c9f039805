"""How much there is to evaluate: batches, samples, and whether some are there twice."""

from __future__ import annotations

from typing import Any, NoReturn

from torch.utils.data import RandomSampler, SequentialSampler

from engine.dataset import data_length
from engine.dist import get_dist_info, get_world_size
from engine.errors import DataError

__all__ = [
    "check_has_batches",
    "length_of",
    "padded_size",
    "refuse_empty",
    "samples_of",
]

_UNSHARED = (SequentialSampler, RandomSampler)  # each rank reads all of the data


def length_of(data: Any, epoch_length: int | None) -> int | None:
    """Batches of an evaluation; ``None`` if that is not known.

    Args:
        data: Iterable of batches.
        epoch_length: Batches to use; ``None``: all.

    Raises:
        DataError: There is none.
    """
    length = data_length(data)
    if length == 0 and get_world_size() == 1:  # other ranks may have some
        refuse_empty(data)
    if epoch_length is None:
        return length
    return epoch_length if length is None else min(epoch_length, length)


def check_has_batches(data: Any) -> None:
    """Refuse data that has a length, and that is 0.

    Raises:
        DataError: It is.
    """
    length_of(data, None)


def refuse_empty(data: Any) -> NoReturn:
    """Say that an evaluation has nothing to do.

    Raises:
        DataError: Always.
    """
    dataset = getattr(data, "dataset", data)
    message = (
        f"{type(data).__name__} over {type(dataset).__name__} gives no batch: an "
        "evaluation needs at least one"
    )
    raise DataError(message)


def samples_of(data: Any, length: int | None) -> int | None:
    """Samples in the dataset; ``None`` if not all of it is evaluated.

    Args:
        data: Iterable of batches.
        length: Batches that are evaluated.
    """
    dataset = getattr(data, "dataset", None)
    if length == length_of(data, None) and hasattr(dataset, "__len__"):
        return len(dataset)  # type: ignore[arg-type]  # asked just now
    return None


def padded_size(data: Any, size: int | None) -> int | None:
    """Samples in the dataset, if more may be read: then some are there twice.

    Args:
        data: Iterable of batches.
        size: As :func:`samples_of` told.

    Returns:
        ``None`` where a sampler is known to add none.
    """
    batches = getattr(data, "batch_sampler", None)
    sampler = getattr(batches, "sampler", None)
    if size is None or type(sampler) in _UNSHARED:
        return None
    read = data_length(sampler)
    _, world = get_dist_info()
    return None if read is not None and read * world <= size else size
