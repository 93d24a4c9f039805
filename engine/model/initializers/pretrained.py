"""Weights that begin as those of a file."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from engine.errors import (
    CheckpointDamagedError,
    CheckpointNotFoundError,
    ModelError,
    a_type,
    did_you_mean,
)
from engine.model.initializers.account import update_init_info
from engine.registry import WEIGHT_INITIALIZERS

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["PretrainedInit"]

_SHOWN = 8
"""Names that a message lists before it only counts the rest."""


@WEIGHT_INITIALIZERS.register_module("Pretrained")
class PretrainedInit:
    """Loads the weights that a local file and a module have in common.

    The file holds tensors by name, or a mapping that has such under ``state_dict``; a
    leading ``module.``, as DDP gives it, is left out. Names that only one side has,
    and tensors of another shape, are left as they are and warned of.

    Args:
        checkpoint: Path of the file. Nothing in it is run: what is no plain data is
            refused.
        prefix: Loads only names below this one, such as ``"backbone"``, without it.
        map_location: Device that the file's tensors are read to.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        prefix: str | None = None,
        map_location: str | torch.device | None = "cpu",
    ) -> None:
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.map_location = map_location

    def __call__(self, module: Module) -> None:
        """Load the weights.

        Args:
            module: Its parameters and buffers are written in place.

        Raises:
            CheckpointNotFoundError: There is no such file.
            CheckpointDamagedError: It is no file of plain data.
            ModelError: It has no weights, none below ``prefix``, or none that fit.
        """
        source = f"{type(self).__name__}: {self.checkpoint}"
        weights = _weights(_read(self.checkpoint, self.map_location), source)
        if self.prefix is not None:
            weights = _below(weights, self.prefix, source)
        own = module.state_dict()
        fitting = {
            name: value
            for name, value in weights.items()
            if name in own and own[name].shape == value.shape
        }
        if not fitting:
            msg = (
                f"{source} has no tensor that {type(module).__name__} has by that name "
                f"and shape: found {_listed(weights)}, wanted {_listed(own)}. Set or "
                "remove prefix."
            )
            raise ModelError(msg)
        module.load_state_dict(fitting, strict=False)
        _warn_of_rest(weights, own, source)
        if hasattr(module, "_params_init_info"):
            update_init_info(module, init_info=source)


def _read(checkpoint: str | Path, map_location: str | torch.device | None) -> Any:
    """What the file holds, plain data only."""
    text = str(checkpoint)
    if re.match(r"\w{2,}:", text):  # two letters at least: C: is a drive
        msg = (
            f"PretrainedInit: {text} is not on this machine, but a local file is "
            "needed. Download it, or load it over load_from of the Runner."
        )
        raise ModelError(msg)
    path = Path(text).expanduser()
    if not path.is_file():
        msg = f"PretrainedInit: there is no file {path}. Set checkpoint to one."
        raise CheckpointNotFoundError(msg)
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        msg = (
            f"PretrainedInit: {path} cannot be read as plain tensors: it is no file "
            "of torch.save, is cut short, or holds objects, which are not run. Save "
            "its state_dict alone: torch.save(model.state_dict(), path)."
        )
        raise CheckpointDamagedError(msg) from error


def _weights(found: Any, source: str) -> dict[str, Tensor]:
    """The tensors by name."""
    if isinstance(found, Mapping):
        inner = found.get("state_dict", found)
        if isinstance(inner, Mapping):
            named = {
                re.sub(r"^module\.", "", str(name)): value
                for name, value in inner.items()
                if isinstance(value, Tensor)
            }
            if named:
                return named
    msg = (
        f"{source} has no weights: found {a_type(found)}, but tensors by name "
        "are needed, or a mapping with 'state_dict'."
    )
    raise ModelError(msg)


def _below(weights: dict[str, Tensor], prefix: str, source: str) -> dict[str, Tensor]:
    """The tensors below a prefix, under what follows it."""
    start = prefix if prefix.endswith(".") else f"{prefix}."
    found = {
        name[len(start) :]: value
        for name, value in weights.items()
        if name.startswith(start)
    }
    if not found:
        parts = sorted({name.partition(".")[0] for name in weights})
        msg = (
            f"{source} has nothing below the prefix {prefix!r}."
            f"{did_you_mean(prefix, parts)} It has {_listed(parts)}."
        )
        raise ModelError(msg)
    return found


def _warn_of_rest(
    weights: Mapping[str, Tensor], own: Mapping[str, Any], source: str
) -> None:
    """Say what was not loaded, if anything."""
    rest = {
        "missing in the file": [name for name in own if name not in weights],
        "not in the module": [name for name in weights if name not in own],
        "of another shape": [
            f"{name} {tuple(value.shape)} for {tuple(own[name].shape)}"
            for name, value in weights.items()
            if name in own and own[name].shape != value.shape
        ],
    }
    found = [f"{what}: {_listed(names)}" for what, names in rest.items() if names]
    if found:
        text = "; ".join(found)
        warnings.warn(f"{source} was loaded in part; {text}", stacklevel=4)


def _listed(names: Any) -> str:
    """The first names, and how many there are beyond them.

    >>> _listed(["a", "b"])
    'a, b'
    """
    first = ", ".join(list(names)[:_SHOWN])
    more = len(names) - _SHOWN
    return f"{first} and {more} more" if more > 0 else first
