"""Parameters that a loss does not depend on."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

__all__ = ["detect_anomalous_params"]


def detect_anomalous_params(loss: Tensor, model: Module) -> list[str]:
    """Find, and warn of, parameters that want gradients and get none from ``loss``.

    DDP waits for the gradients of all parameters; one that the loss does not depend on
    stops a run in its next iteration, unless ``find_unused_parameters`` is set.

    Args:
        loss: Requires grad. Its graph is walked; backward may have run on it or not.
        model: Its parameters are looked for.

    Returns:
        Their names, in the model's order.

    >>> import torch
    >>> net = torch.nn.ModuleDict({"used": torch.nn.ReLU(), "odd": torch.nn.ReLU()})
    >>> detect_anomalous_params(torch.ones((), requires_grad=True) * 2, net)
    []
    """
    used = _leaves(loss)
    names = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and id(parameter) not in used
    ]
    if names:
        warnings.warn(
            f"{type(model).__name__}: the loss does not depend on {', '.join(names)}. "
            "Use them in forward, freeze them by requires_grad_(False), or set "
            "find_unused_parameters=True",
            stacklevel=2,
        )
    return names


def _leaves(loss: Tensor) -> set[int]:
    """The ids of the tensors at the ends of the graph."""
    # A list of nodes to visit, not recursion: graphs are deeper than Python's stack.
    nodes: list[Any] = [loss.grad_fn]
    seen: set[Any] = set()
    found = {id(loss)}
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        nodes.extend(below for below, _ in node.next_functions)
    return found
