"""The norm of all gradients, also of those that lie over ranks."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed
from torch.nn.utils import clip_grad_norm_

from engine.errors import OptimizerError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["clip_grad_norm"]

_EPSILON = 1e-6  # torch's, so that clipping does the same with and without ranks


def clip_grad_norm(
    parameters: torch.Tensor | Iterable[torch.Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> torch.Tensor:
    """Scale gradients down to a norm, as ``torch.nn.utils.clip_grad_norm_``.

    With gradients that lie over ranks it is the norm of the whole ones, on all ranks
    the same. torch's own fails there where a rank has nothing of a gradient, and gives
    a norm that lies over ranks too.

    Args:
        parameters: Those of all gradients, or one.
        max_norm: The longest that is left as it is.
        norm_type: Order of the norm; ``inf`` for the largest.
        error_if_nonfinite: Whether a norm that is not finite is an error.
        foreach: As for torch's; of whole gradients only.

    Returns:
        The norm before, shape ``()``.

    Raises:
        RuntimeError: The norm is not finite, if that is an error.
        OptimizerError: Gradients are summands that ranks have not added up.
    """
    given = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
    grads: list[Any] = [one.grad for one in given if one.grad is not None]
    # Asked of their classes: of a thousand gradients in each step it takes a while.
    if not any(hasattr(kind, "device_mesh") for kind in set(map(type, grads))):
        return clip_grad_norm_(given, max_norm, norm_type, error_if_nonfinite, foreach)
    norm = _norm(grads, float(norm_type))
    if error_if_nonfinite and not norm.isfinite():
        message = (
            f"the norm of order {norm_type} of the gradients is not finite, so they "
            "cannot be clipped"
        )
        raise RuntimeError(message)  # what torch raises
    factor = (max_norm / (norm + _EPSILON)).clamp(max=1.0)
    for grad in grads:
        local = _local(grad)
        local.mul_(factor.to(local.device))
    return norm


def _norm(grads: list[Any], order: float) -> torch.Tensor:
    """The norm of all gradients as one vector.

    One all-reduce for each way in which gradients are cut over ranks.
    """
    alike: defaultdict[Any, list[torch.Tensor]] = defaultdict(list)
    for grad in grads:
        local = _local(grad)
        if local.numel():  # of nothing torch knows no largest
            alike[_cut(grad)].append(local.detach())
        else:
            alike[_cut(grad)]
    parts = []
    for (mesh, dims), locals_ in alike.items():
        total = _part(locals_, order)
        if mesh is not None:
            total = total.to(mesh.device_type)
            for dim in dims:
                distributed.all_reduce(
                    total, op=_REDUCE.get(order, _SUM), group=mesh.get_group(dim)
                )
        parts.append(total)
    found = torch.stack([one.to(parts[0].device) for one in parts])
    if order == float("inf"):
        return found.max()
    if order == float("-inf"):
        return found.min()
    return found.sum() ** (1.0 / order)


_SUM = distributed.ReduceOp.SUM
_REDUCE = {
    float("inf"): distributed.ReduceOp.MAX,
    float("-inf"): distributed.ReduceOp.MIN,
}


def _part(locals_: list[torch.Tensor], order: float) -> torch.Tensor:
    """What ranks add up, or the largest or smallest of which they take."""
    if not locals_:
        nothing = {float("inf"): 0.0, float("-inf"): float("inf")}
        return torch.tensor(nothing.get(order, 0.0))
    norms = torch.stack(
        [torch.linalg.vector_norm(one, order).to(locals_[0].device) for one in locals_]
    )
    if order == float("inf"):
        return norms.max()
    if order == float("-inf"):
        return norms.min()
    return (norms**order).sum()


def _cut(grad: Any) -> tuple[Any, tuple[int, ...]]:
    """The mesh that a gradient lies on, and along which of its dimensions it is cut."""
    mesh = getattr(grad, "device_mesh", None)
    if mesh is None:
        return None, ()
    if any(one.is_partial() for one in grad.placements):
        message = (
            f"a gradient lies over ranks as {grad.placements}: summands that they have "
            "not added up. Clip after the ranks have agreed on gradients."
        )
        raise OptimizerError(message)
    dims = [dim for dim, one in enumerate(grad.placements) if one.is_shard()]
    return mesh, tuple(dims)


def _local(grad: Any) -> torch.Tensor:
    """This rank's part, whose numbers are the gradient's own."""
    own: torch.Tensor = grad.to_local() if hasattr(grad, "device_mesh") else grad
    return own
