"""Where tensors are, and where they must be to be sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed

from engine.dist.context import get_backend
from engine.errors import DataError, a_type

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["cast_data_device", "get_comm_device", "get_data_device", "sendable"]


def get_comm_device(group: ProcessGroup | None = None) -> torch.device:
    """Where a group sends tensors from: this process's GPU for nccl, else the CPU.

    Args:
        group: ``None``: that of all ranks.
    """
    if get_backend(group) == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def sendable(data: Tensor, group: ProcessGroup | None) -> Tensor:
    """The same values where the group can send them from.

    A group with a backend for each kind of device sends a tensor from where it is.
    """
    backends = distributed.get_backend_config(group)  # such as "cpu:gloo,cuda:nccl"
    if data.is_cuda and "cuda:nccl" in backends:
        return data
    if data.device.type == "cpu" and "cpu:" in backends:
        return data
    return data.to("cpu" if "cpu:" in backends else get_comm_device(group))


def get_data_device(data: Any) -> torch.device:
    """The device of a tensor, or of all tensors in a list or mapping.

    Args:
        data: A tensor, or lists, tuples and mappings of them.

    Raises:
        DataError: It is empty, holds something else, or is on devices of several types.

    >>> get_data_device({"a": [torch.ones(1)], "b": torch.zeros(2)})
    device(type='cpu')
    """
    if isinstance(data, Tensor):
        return data.device
    found = [get_data_device(each) for each in _parts(data)]
    if not found:
        message = "get_data_device(): there is no tensor in it"
        raise DataError(message)
    types = sorted({each.type for each in found})
    if len(types) > 1:
        message = f"get_data_device(): tensors on several devices: {', '.join(types)}"
        raise DataError(message)
    return found[0]


def cast_data_device(data: Any, device: torch.device | str, out: Any = None) -> Any:
    """The same data with all its tensors on a device.

    Args:
        data: A tensor, or lists, tuples and mappings of them; it stays as it is.
        device: Where tensors go; one that is there is not copied.
        out: Of the same form, gets the values: its tensors keep their device.

    Returns:
        ``out`` if it is given, else data of the same form.

    Raises:
        DataError: ``data`` holds something else, or ``out`` is of another form.

    >>> cast_data_device([torch.ones(2)], "meta")[0].device
    device(type='meta')
    """
    if out is not None:
        _fill(out, cast_data_device(data, device))
        return out
    if isinstance(data, Tensor):
        return data.to(device)
    if isinstance(data, Mapping):
        cast = {key: cast_data_device(value, device) for key, value in data.items()}
        return type(data)(cast)  # type: ignore[call-arg]  # a mapping of the user's
    moved = [cast_data_device(each, device) for each in _parts(data)]
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*moved)
    return type(data)(moved) if isinstance(data, list | tuple) else moved


def _parts(data: Any) -> list[Any]:
    if isinstance(data, Mapping):
        return list(data.values())
    if isinstance(data, Iterable) and not isinstance(data, str | bytes):
        return list(data)
    message = f"expected tensors, or lists or mappings of them, found {a_type(data)}"
    raise DataError(message)


def _fill(out: Any, data: Any) -> None:
    if isinstance(out, Tensor) and isinstance(data, Tensor):
        if out.shape == data.shape:
            out.copy_(data)
            return
    elif isinstance(out, Mapping) and isinstance(data, Mapping):
        if out.keys() == data.keys():
            for key, value in data.items():
                _fill(out[key], value)
            return
    elif (
        isinstance(out, list | tuple)
        and isinstance(data, list | tuple)
        and len(out) == len(data)
    ):
        for target, value in zip(out, data, strict=True):
            _fill(target, value)
        return
    message = "cast_data_device(): `out` is of another form than `data`"
    raise DataError(message)
