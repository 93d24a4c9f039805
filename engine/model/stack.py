"""Several tensors into one batch, several mappings into one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from engine.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["merge_dict", "stack_batch"]


def stack_batch(
    tensor_list: Sequence[Tensor], pad_size_divisor: int = 1, pad_value: float = 0
) -> Tensor:
    """Stack tensors, each padded at the end of its axes to the largest.

    Args:
        tensor_list: At least one, with the same number of axes, the same dtype and
            device, and the same size along the first axis (channels), which is not
            padded.
        pad_size_divisor: Sizes of the other axes become multiples of it; at least 1.
        pad_value: What is padded with.

    Returns:
        Shape (tensors, channels, largest sizes...).

    Raises:
        DataError: The tensors do not go into one.
        ConfigError: ``pad_size_divisor`` is below 1.

    >>> stack_batch([torch.ones(1, 1, 2), torch.ones(1, 2, 1)], pad_value=5).tolist()
    [[[[1.0, 1.0], [5.0, 5.0]]], [[[1.0, 5.0], [1.0, 5.0]]]]
    """
    if pad_size_divisor < 1:
        msg = f"stack_batch: pad_size_divisor is {pad_size_divisor}. Take 1 or more."
        raise ConfigError(msg)
    if not isinstance(tensor_list, (list, tuple)) or not tensor_list:
        msg = (
            f"stack_batch: found {tensor_list!r}, but a list of at least one tensor "
            "is needed."
        )
        raise DataError(msg)
    shapes = [tuple(tensor.shape) for tensor in tensor_list]
    if len({(len(shape), shape[:1]) for shape in shapes}) != 1 or not shapes[0]:
        msg = (
            f"stack_batch: the tensors have the shapes {shapes}, but as many axes, at "
            "least one, and as many channels (the first axis) are needed in each."
        )
        raise DataError(msg)
    channels, *sizes = (max(axis) for axis in zip(*shapes, strict=True))
    sizes = [size + -size % pad_size_divisor for size in sizes]
    if all(list(shape[1:]) == sizes for shape in shapes):
        return torch.stack(list(tensor_list))
    # Each value is written once, where padding first and stacking then copies twice.
    stacked = tensor_list[0].new_full((len(shapes), channels, *sizes), pad_value)
    for place, tensor in zip(stacked, tensor_list, strict=True):
        place[tuple(slice(size) for size in tensor.shape)] = tensor
    batch: Tensor = stacked
    return batch


def merge_dict(*args: Mapping[str, Any]) -> dict[str, Any]:
    """One dict with the entries of all; of equal keys the last counts.

    Args:
        args: Mappings. They are not changed.

    >>> merge_dict({"a": 1, "b": 1}, {"b": 2})
    {'a': 1, 'b': 2}
    """
    return {key: value for each in args for key, value in each.items()}
