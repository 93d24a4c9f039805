"""Tensors of a checkpoint as they lie on this run's ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.checkpoint import laid_as

__all__ = ["spread_checkpoint"]


def spread_checkpoint(checkpoint: Mapping[str, Any], optimizer: Any) -> dict[str, Any]:
    """A checkpoint with its whole tensors cut where the run's optimizer has them so.

    Weights are cut when they are loaded into the model.

    Args:
        checkpoint: Not changed. What lies over ranks already stays so.
        optimizer: Of parameters that lie over ranks; ``None``: there is none.
    """
    found = dict(checkpoint)
    if optimizer is None:
        return found
    if "optimizer" in found:
        found["optimizer"] = _spread_state(found["optimizer"], optimizer)
    ours = found.get("engine")
    if isinstance(ours, Mapping) and ours.get("gradients") is not None:
        gradients = _spread_gradients(ours["gradients"], optimizer)
        found["engine"] = {**ours, "gradients": gradients}
    return found


def _spread_state(state: Any, optimizer: Any) -> Any:
    """An optimizer's state; of several a mapping of states by name."""
    if not isinstance(state, Mapping):
        return state
    if "param_groups" not in state:
        return {
            name: _spread_state(one, optimizer[name]) if name in optimizer else one
            for name, one in state.items()
        }
    parameters = _parameters(optimizer)
    changed = {
        index: {
            key: laid_as(value, parameters[index])
            if _fits(index, parameters)
            else value
            for key, value in entries.items()
        }
        if isinstance(entries, Mapping)
        else entries
        for index, entries in state["state"].items()
    }
    return {**state, "state": changed}


def _spread_gradients(gradients: Any, optimizer: Any) -> Any:
    """Gradients in the order of the parameters; of several optimizers by name."""
    if isinstance(gradients, Mapping):
        return {
            name: _spread_gradients(one, optimizer[name]) if name in optimizer else one
            for name, one in gradients.items()
        }
    parameters = _parameters(optimizer)
    if gradients is None or len(gradients) != len(parameters):
        return gradients  # who loads it says so
    return [laid_as(one, like) for one, like in zip(gradients, parameters, strict=True)]


def _fits(index: Any, parameters: Sequence[Any]) -> bool:
    return isinstance(index, int) and 0 <= index < len(parameters)


def _parameters(optimizer: Any) -> list[Any]:
    own = getattr(optimizer, "optimizer", optimizer)
    return [one for group in own.param_groups for one in group["params"]]
