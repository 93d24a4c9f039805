"""What is shown, in the plain form that every service takes: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from engine.errors import SerializationError, a_type

__all__ = ["flat", "nested", "numbers", "picture", "points"]


def numbers(scalar_dict: Mapping[str, Any]) -> dict[str, float]:
    """Those of the values that are numbers, as python's.

    Curves are made of numbers: text, lists and larger tensors are left out. The local
    backend's file has them.

    Args:
        scalar_dict: Values by name; tensors and arrays with one element count.

    >>> numbers({"loss": np.float32(0.5), "done": True, "eta": "1:20", "n": Tensor(3)})
    {'loss': 0.5, 'done': 1}
    """
    found = {}
    for name, value in scalar_dict.items():
        if isinstance(value, Tensor):
            # item() waits for the device, but whoever shows a point wants the number.
            value = value.item() if value.numel() == 1 else None  # noqa: PLW2901
        elif isinstance(value, (np.generic, np.ndarray)):
            value = value.item() if value.size == 1 else None  # noqa: PLW2901
        if isinstance(value, (int, float)):  # a bool is an int
            found[name] = int(value) if isinstance(value, bool) else value
    return found


def points(scalar_dict: Mapping[str, Any], step: int) -> tuple[dict[str, float], int]:
    """Those of the values that are numbers, and where they stand.

    Args:
        scalar_dict: As for :func:`numbers`. A ``"step"`` in it wins over ``step``.
        step: Iterations or epochs finished.

    >>> points({"acc": 0.5, "step": 3}, 40), points({"acc": 0.5}, 40)
    (({'acc': 0.5}, 3), ({'acc': 0.5}, 40))
    """
    found = numbers(scalar_dict)
    step = int(found.pop("step", step))
    return found, step


def picture(name: str, image: Any) -> np.ndarray[Any, Any]:
    """An image as bytes of red, green and blue.

    Args:
        name: What it is called, for the message.
        image: Array or tensor, shape (height, width, 3), or (height, width) and
            (height, width, 1) for grey; uint8, or floats from 0 to 1.

    Returns:
        Array, shape (height, width, 3), uint8.

    Raises:
        SerializationError: It is something else.
    """
    array = image.detach().cpu().numpy() if isinstance(image, Tensor) else image
    if isinstance(array, np.ndarray):
        if array.ndim == 2:  # noqa: PLR2004 - rows and columns
            array = array[:, :, None]
        if array.dtype.kind == "f":
            array = (array.clip(0, 1) * 255).round().astype(np.uint8)
        if array.ndim == 3 and array.shape[2] in (1, 3) and array.dtype == np.uint8:  # noqa: PLR2004 - and colours
            return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))
        found = f"{a_type(image)} of shape {tuple(array.shape)} and {array.dtype}"
    else:
        found = a_type(image)
    message = (
        f"image {name!r} is {found}, but an array of shape (height, width, 3), in "
        "uint8 or floats from 0 to 1, is needed. Of a tensor of shape (3, height, "
        "width) take permute(1, 2, 0)."
    )
    raise SerializationError(message)


def nested(config: Any) -> dict[str, Any]:
    """A config as plain values: mappings, lists, numbers, texts, switches, ``None``.

    Args:
        config: A mapping, or anything with ``to_dict``; else it becomes one value.

    >>> nested({"model": {"type": dict, "sizes": (1, 2)}})
    {'model': {'type': "<class 'dict'>", 'sizes': [1, 2]}}
    """
    to_dict = getattr(config, "to_dict", None)
    whole = _plain(to_dict() if callable(to_dict) else config)
    return whole if isinstance(whole, dict) else {"config": whole}


def flat(config: Any) -> dict[str, Any]:
    """A config as one level, for services that want parameters.

    Args:
        config: As for :func:`nested`.

    Returns:
        Numbers, texts, switches and ``None`` by path; lists as text.

    >>> flat({"lr": 0.1, "model": {"type": "A", "sizes": [1, 2]}})
    {'lr': 0.1, 'model.type': 'A', 'model.sizes': '[1, 2]'}
    """
    found: dict[str, Any] = {}
    for key, value in nested(config).items():
        if isinstance(value, dict) and value:
            found |= {f"{key}.{inner}": one for inner, one in flat(value).items()}
        else:
            found[key] = str(value) if isinstance(value, (dict, list)) else value
    return found


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return str(value)
