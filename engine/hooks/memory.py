"""What an object remembers, by attribute: to find memory that nobody saves."""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import torch

from engine.state.same import Same, writes_of

__all__ = ["changed", "remembered"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_DEEPEST = 6  # levels of containers and objects that are looked into
# Objects of these have a state of their own, or are the run's: only which one counts.
_OPAQUE = (
    "engine.",
    "ignite.",
    "torch.",
    "structlog.",
    "builtins.",
    "_io.",
    "logging.",
)


def remembered(
    obj: object, *, leave_out: AbstractSet[str] = frozenset()
) -> dict[str, Any]:
    """A digest of each attribute's value, to be compared with later ones.

    Numbers, text, containers of them, arrays and generators are looked at by value;
    objects of the user's classes by their attributes; other objects by identity, and
    the digest keeps them. A tensor counts as changed when it was written in place or is
    another one; its values are not read, which would wait for the device.

    Args:
        obj: A hook, say; not changed.
        leave_out: Attributes that are no memory.
    """
    found = _attributes(obj)
    return {
        name: _digest(value, _DEEPEST)
        for name, value in found.items()
        if name not in leave_out
    }


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The attributes whose digests differ, or that one of the two lacks, by name.

    >>> changed({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"})
    ['b', 'c']
    """
    names = sorted({*before, *after})
    return [name for name in names if before.get(name) != after.get(name)]


def _attributes(obj: object) -> dict[str, Any]:
    found = dict(getattr(obj, "__dict__", {}))
    for kind in type(obj).__mro__:  # classes with slots, as attrs makes them
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(obj, name):
                found.setdefault(name, getattr(obj, name))
    return found


def _digest(value: Any, depth: int) -> Any:
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, torch.Tensor):
        return Same(value, writes_of(value))
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, _hash(value.tobytes())
    state = _generator_state(value)
    if state is not None:
        return type(value), _hash(state)
    inside = None if depth == 0 else _inside(value, depth - 1)
    return Same(value) if inside is None else (type(value), inside)


def _inside(value: Any, depth: int) -> Any:
    """Digests of what a container or an object of the user's class holds."""
    if isinstance(value, Mapping):
        return tuple((_digest(k, depth), _digest(v, depth)) for k, v in value.items())
    if isinstance(value, list | tuple | deque):
        return tuple(_digest(item, depth) for item in value)
    if isinstance(value, AbstractSet):
        return frozenset(_digest(item, depth) for item in value)
    foreign = f"{type(value).__module__}.".startswith(_OPAQUE) or callable(value)
    if foreign or isinstance(value, torch.optim.Optimizer):
        return None
    held = _attributes(value).items()
    return tuple((name, _digest(one, depth)) for name, one in held) or None


def _generator_state(value: Any) -> bytes | None:
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state).encode()
    if isinstance(value, np.random.RandomState):
        return repr(value.get_state(legacy=False)).encode()
    return repr(value.getstate()).encode() if isinstance(value, random.Random) else None


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
