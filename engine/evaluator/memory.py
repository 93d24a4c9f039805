"""What a metric remembers inside an evaluation, as plain data.

A metric's results, and whatever else of it changed since the evaluation began, go into
a checkpoint that is saved between two batches. What cannot be looked into cannot be
saved: then the evaluation begins again whole, which is right too, only slower.
"""

from __future__ import annotations

import enum
import hashlib
import os
import re
import types
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine.errors import SerializationError, a_type
from engine.state.same import Same, writes_of

if TYPE_CHECKING:
    from engine.typing import Plain

__all__ = ["digests", "pack", "unpack"]

_SAVED = (bool, int, float, complex, str, types.NoneType)
_SCALARS = (*_SAVED, bytes)
_DICTS = (dict, OrderedDict)
_ARRAY = "numpy array"  # key of a packed one
_TENSOR = "tensor"
_PACKED_TENSOR = {_TENSOR, "device"}  # keys; who reads a checkpoint says where to
_MOST = 100_000  # things that are looked at in one attribute
# They are told apart by identity; nothing that they hold is a metric's memory.
_FIXED = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.MethodType,
    types.ModuleType,
    enum.Enum,
    os.PathLike,
    re.Pattern,
    np.dtype,
    np.ufunc,
    torch.dtype,
    torch.device,
    range,
)


def pack(value: Any, where: str = "it") -> Plain:
    """A copy of tensors, arrays and plain values that a checkpoint can hold.

    Args:
        value: Numbers, text, tensors, NumPy arrays and numbers, and lists, tuples, sets
            and dicts of these. It is not changed, and shares nothing with the copy.
        where: What messages call it.

    Raises:
        SerializationError: There is something else in it.
    """
    kind = type(value)
    if kind in _SAVED:
        return value
    if isinstance(value, torch.Tensor):
        return {_TENSOR: value.detach().clone(), "device": str(value.device)}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc":
        array = np.array(value)
        return {
            _ARRAY: torch.frombuffer(bytearray(array.tobytes()), dtype=torch.uint8)
            if array.size
            else torch.empty(0, dtype=torch.uint8),
            "dtype": array.dtype.str,
            "shape": list(array.shape),
            "number": isinstance(value, np.generic),
        }
    if kind in (list, tuple):
        items = [pack(one, f"{where}[{index}]") for index, one in enumerate(value)]
        return items if kind is list else tuple(items)
    if kind is set:
        return {pack(one, where) for one in value}
    if kind is dict and set(value) == _PACKED_TENSOR:  # packed once already
        return {**value, _TENSOR: value[_TENSOR].clone()}
    if kind in _DICTS and all(type(key) in _SAVED for key in value):
        return kind((key, pack(one, f"{where}[{key!r}]")) for key, one in value.items())
    message = (
        f"{where} is {a_type(value)}, but a checkpoint holds tensors, arrays, numbers, "
        "text, and lists and dicts of these"
    )
    raise SerializationError(message)


def unpack(packed: Plain) -> Any:
    """What :func:`pack` packed, as new objects."""
    if isinstance(packed, torch.Tensor):
        return packed.clone()
    if isinstance(packed, list | tuple):
        items = [unpack(one) for one in packed]
        return items if isinstance(packed, list) else tuple(items)
    if isinstance(packed, Mapping):
        if set(packed) == _PACKED_TENSOR:
            return _on(packed["device"], packed[_TENSOR])
        if set(packed) == {_ARRAY, "dtype", "shape", "number"}:
            raw = unpack(packed[_ARRAY]).cpu().numpy().tobytes()
            array = np.frombuffer(raw, dtype=packed["dtype"])
            array = array.reshape(packed["shape"]).copy()
            return array[()] if packed["number"] else array
        kind: Any = type(packed)
        return kind((key, unpack(one)) for key, one in packed.items())
    return set(packed) if isinstance(packed, set) else packed


def digests(obj: object, leave_out: frozenset[str]) -> dict[str, Any]:
    """What stands in each attribute, to be compared with later.

    Args:
        obj: A metric, say; not changed.
        leave_out: Attributes that do not matter.

    Returns:
        By name; ``None`` for an attribute that cannot be looked into, or holds so much
        that it would take long.
    """
    found: dict[str, Any] = {}
    for name, value in vars(obj).items():
        if name not in leave_out:
            try:
                found[name] = _digest(value, _Budget())
            except (_OpaqueError, RecursionError):  # a circle, say
                found[name] = None
    return found


class _OpaqueError(Exception):
    """Something cannot be looked into."""


class _Budget:
    """How much of an attribute is looked at."""

    def __init__(self) -> None:
        self.left = _MOST

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise _OpaqueError


def _digest(value: Any, budget: _Budget) -> Any:
    budget.spend(1)
    kind = type(value)
    if kind in _SCALARS:
        return kind, repr(value)  # NaN differs from itself, 0.0 from -0.0 does not
    if isinstance(value, torch.Tensor):
        return _tensor(value)
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc":
        budget.spend(value.nbytes // 64)
        hashed = hashlib.blake2b(value.tobytes(), digest_size=16).hexdigest()
        return kind, value.dtype.str, value.shape, hashed
    if isinstance(value, partial):
        return _digest([value.func, value.args, value.keywords], budget)
    if isinstance(value, _FIXED):
        return Same(value)
    if isinstance(value, torch.nn.Module):  # a loss, a network to compare by
        return Same(value), _digest(dict(vars(value)), budget)
    if kind in (list, tuple):
        budget.spend(len(value))
        return kind, tuple(_digest(one, budget) for one in value)
    if kind in (set, frozenset):
        budget.spend(len(value))
        return kind, frozenset(_digest(one, budget) for one in value)
    if kind in _DICTS:
        budget.spend(2 * len(value))
        pairs = value.items()
        return kind, tuple((_digest(k, budget), _digest(v, budget)) for k, v in pairs)
    raise _OpaqueError


def _tensor(value: torch.Tensor) -> Same:
    """Whether it was written to or is another one: its values are on a device."""
    writes = writes_of(value)
    if writes is None:
        raise _OpaqueError
    return Same(value, writes)


def _on(device: str, tensor: torch.Tensor) -> torch.Tensor:
    """A copy on the device where it was, if there is one like that here."""
    kind = torch.device(device).type
    here = kind in ("cpu", "meta") or torch.get_device_module(kind).is_available()
    return tensor.to(device, copy=True) if here else tensor.clone()
