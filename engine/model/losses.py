"""From what a loss function returned to what is differentiated and what is logged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from engine.errors import ModelError, a_type

__all__ = ["parse_losses"]


def parse_losses(losses: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Reduce losses to the one that is differentiated, and values to log.

    Args:
        losses: A tensor with one element; or a mapping of names to tensors or to lists
            of them. Tensors with several elements count with their mean, a list with
            the sum over its tensors.

    Returns:
        The loss to differentiate: of a mapping the sum of all entries whose names
        contain ``loss``. And the detached values, shape ``()``, with that sum as
        ``"loss"`` in front.

    Raises:
        ModelError: It is something else, or no name contains ``loss``.

    >>> import torch
    >>> total, values = parse_losses(
    ...     {"loss_box": torch.tensor([1.0, 3.0]), "acc": torch.tensor(0.5)}
    ... )
    >>> total, values["acc"]
    (tensor(2.), tensor(0.5000))
    """
    if isinstance(losses, Tensor):
        return _single(losses)
    if not isinstance(losses, Mapping):
        msg = (
            f"the loss function returned {a_type(losses)}, but a tensor with "
            "one element, or a mapping of names to tensors, is needed."
        )
        raise ModelError(msg)
    values = {name: _value(name, value) for name, value in losses.items()}
    parts = [value for name, value in values.items() if "loss" in name]
    if not parts:
        names = ", ".join(map(repr, values)) or "nothing"
        msg = (
            f"the loss function returned {names}, but names of what is to be "
            "differentiated contain 'loss'. Call it 'loss', or 'loss_...'."
        )
        raise ModelError(msg)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    logged = {name: value.detach() for name, value in values.items() if name != "loss"}
    return total, {"loss": total.detach(), **logged}


def _single(loss: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    if loss.numel() != 1:
        msg = (
            f"the loss function returned a tensor of shape {tuple(loss.shape)}, but "
            "one element is needed. Reduce it, e.g. by .mean()."
        )
        raise ModelError(msg)
    loss = loss if loss.dim() == 0 else loss.reshape(())
    return loss, {"loss": loss.detach()}


def _value(name: str, value: Any) -> Tensor:
    """One entry of a mapping as a tensor of shape ``()``."""
    if isinstance(value, Tensor):
        if value.dim() == 0:
            return value
        # mean() of whole numbers, as a count of hits is, is not defined.
        dense = value if value.is_floating_point() else value.float()
        return dense.mean()
    several = isinstance(value, (list, tuple))
    if several and value:
        first, *others = (_value(name, each) for each in value)
        for each in others:
            first = first + each
        return first
    found = "an empty list" if several else f"{a_type(value)}"
    msg = (
        f"the loss function returned {found} as {name!r}, but a tensor or a list of "
        "tensors is needed. Make a number one by torch.tensor(...), or leave it out."
    )
    raise ModelError(msg)
