"""Weights alone: from a file into a model."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from engine.checkpoint.loader import CheckpointLoader
from engine.checkpoint.pieces import MeshLayout, is_sharded, laid_as
from engine.errors import CheckpointDamagedError, CheckpointError, a_type
from engine.model import is_model_wrapper

__all__ = [
    "find_weights",
    "get_state_dict",
    "load_checkpoint",
    "load_state_dict",
    "put_weights",
    "read_for",
    "weights_to_cpu",
]

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
        filename: A checkpoint, ours or MMEngine's, or a file that holds a bare
            ``state_dict``: a path, a URL that fsspec knows, or one with a prefix that
            ``CheckpointLoader`` was told of.
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
    checkpoint = read_for(model, filename, map_location)
    put_weights(
        model,
        checkpoint,
        os.fspath(filename),
        strict=strict,
        logger=logger,
        revise_keys=revise_keys,
    )
    return dict(checkpoint)


def read_for(
    model: nn.Module, filename: str | os.PathLike[str], map_location: Any = "cpu"
) -> Any:
    """What a file holds whose weights a model is to take.

    Args:
        model: If it lies in pieces on several ranks, each reads its own pieces, where
            the file is in pieces too.
        filename: As for :func:`load_checkpoint`.
        map_location: As there.
    """
    cut: Any = next(filter(is_sharded, model.parameters()), None)
    layout = None if cut is None else MeshLayout(cut.device_mesh)
    return CheckpointLoader.load_checkpoint(filename, map_location, layout=layout)


def put_weights(
    model: nn.Module,
    checkpoint: Any,
    where: str,
    *,
    strict: bool = False,
    logger: Any = None,
    revise_keys: Sequence[tuple[str, str]] = (),
) -> None:
    """Put the weights of what a file held into a model.

    Args:
        model: Takes the weights.
        checkpoint: What :func:`load_checkpoint` would return.
        where: The file, for messages.
        strict: As there, and so are the others.
        logger: Told what did not match.
        revise_keys: Regular expressions and what replaces them in each key.

    Raises:
        CheckpointDamagedError: There are no weights.
        CheckpointError: The weights do not fit the model.
    """
    weights = find_weights(checkpoint, where)
    for pattern, replacement in revise_keys:
        weights = {
            re.sub(pattern, replacement, key): value for key, value in weights.items()
        }
    missing, unexpected = load_state_dict(model, weights, strict=strict)
    if logger is not None and (missing or unexpected):
        logger.warning(
            "weights_do_not_match",
            path=where,
            missing=missing,
            unexpected=unexpected,
        )


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
    mine = module.state_dict() if any(map(is_sharded, module.parameters())) else {}
    if mine:  # torch would refuse whole ones, and knows no other names
        cut = OrderedDict((k, laid_as(v, mine.get(k))) for k, v in state_dict.items())
        vars(cut).update(getattr(state_dict, "__dict__", {}))  # torch's _metadata
        state_dict = cut
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


def weights_to_cpu(state_dict: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """The same weights on the CPU, in a mapping of its own.

    Args:
        state_dict: Tensors by name; not changed. What is no tensor is taken as it is.
    """
    copied = OrderedDict(
        (name, value.cpu() if isinstance(value, Tensor) else value)
        for name, value in state_dict.items()
    )
    if hasattr(state_dict, "_metadata"):  # torch's versions of modules
        vars(copied)["_metadata"] = state_dict._metadata  # noqa: SLF001  # torch's own way
    return copied


def get_state_dict(
    module: nn.Module,
    destination: OrderedDict[str, Any] | None = None,
    prefix: str = "",
    keep_vars: bool = False,
) -> OrderedDict[str, Any]:
    """Weights and buffers of a module, without the names of wrappers inside it.

    Args:
        module: A wrapped one gives the names of what it wraps, at any depth.
        destination: Gets them; ``None``: a new mapping.
        prefix: Stands before each name.
        keep_vars: Whether parameters stay attached to the graph.
    """
    found: OrderedDict[str, Any] = OrderedDict()
    module.state_dict(destination=found, prefix="", keep_vars=keep_vars)
    inside = {f"{name}." if name else "" for name in _wrappers(module)}
    result = OrderedDict() if destination is None else destination
    for key, value in found.items():
        name = key
        for wrapper in sorted(inside, key=len, reverse=True):  # innermost first
            if name.startswith(f"{wrapper}module."):
                name = f"{wrapper}{name.removeprefix(wrapper)[len('module.') :]}"
        result[f"{prefix}{name}"] = value
    return result


def _wrappers(module: nn.Module) -> list[str]:
    """Names of the modules in it that wrap another one."""
    return [name for name, one in module.named_modules() if is_model_wrapper(one)]
