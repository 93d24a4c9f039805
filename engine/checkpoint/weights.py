"""Weights alone: from a file into a model."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from engine.checkpoint.store import read
from engine.errors import CheckpointDamagedError, CheckpointError, a_type

__all__ = ["find_weights", "load_checkpoint", "load_state_dict"]

_SHOWN = 6  # keys named in a message before it says how many more there are


def load_checkpoint(
    model: nn.Module,
    filename: str | os.PathLike[str],
    map_location: Any = "cpu",
    strict: bool = False,
    logger: Any = None,
    revise_keys: Sequence[tuple[str, str]] = ((r"^module\.", ""),),
) -> dict[str, Any]:
    """Load weights from a file into a model.

    Args:
        model: Takes the weights.
        filename: A checkpoint, or a file that holds a bare ``state_dict``.
        map_location: Where tensors are put while reading, as for ``torch.load``.
        strict: Whether keys that do not match are an error.
        logger: Told what did not match, by ``warning(event, **keys)``; ``None``:
            nobody is.
        revise_keys: Regular expressions and what replaces them in each key.

    Returns:
        What the file holds.

    Raises:
        CheckpointNotFoundError: There is no such file.
        CheckpointDamagedError: It cannot be read, or holds no weights.
        CheckpointError: The weights do not fit the model.
    """
    checkpoint = read(filename, map_location=map_location)
    weights = find_weights(checkpoint, os.fspath(filename))
    for pattern, replacement in revise_keys:
        weights = {
            re.sub(pattern, replacement, key): value for key, value in weights.items()
        }
    missing, unexpected = load_state_dict(model, weights, strict=strict)
    if logger is not None and (missing or unexpected):
        logger.warning(
            "weights_do_not_match",
            path=os.fspath(filename),
            missing=missing,
            unexpected=unexpected,
        )
    return dict(checkpoint)


def find_weights(checkpoint: Any, where: str) -> Mapping[str, Tensor]:
    """The weights in what a file held.

    Raises:
        CheckpointDamagedError: There are none.
    """
    if isinstance(checkpoint, Mapping):
        weights = checkpoint.get("state_dict", checkpoint)
        if isinstance(weights, Mapping) and any(
            isinstance(value, Tensor) for value in weights.values()
        ):
            return weights
    message = (
        f"{where}: holds no weights: expected a checkpoint with 'state_dict', or a "
        f"mapping of tensors; found {a_type(checkpoint)}"
    )
    raise CheckpointDamagedError(message)


def load_state_dict(
    module: nn.Module, state_dict: Mapping[str, Any], *, strict: bool
) -> tuple[list[str], list[str]]:
    """Load weights into a module.

    Returns:
        Keys of the module that were missing, and keys that were unexpected.

    Raises:
        CheckpointError: A shape differs, or a key does and ``strict`` is set. Tensors
            that fit may have been loaded.
    """
    try:
        result: Any = module.load_state_dict(state_dict, strict=False)
    except RuntimeError as error:  # torch's only way to say that shapes differ
        message = f"the weights do not fit {type(module).__name__}: {error}"
        raise CheckpointError(message) from error
    missing, unexpected = list(result.missing_keys), list(result.unexpected_keys)
    if strict and (missing or unexpected):
        message = (
            f"the weights do not fit {type(module).__name__}: missing "
            f"{_some(missing)}; unexpected {_some(unexpected)}"
        )
        raise CheckpointError(message)
    return missing, unexpected


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{keys[:_SHOWN]}{more}"
