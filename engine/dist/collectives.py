"""What all ranks do together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ignite.distributed as idist
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

__all__ = ["average"]


@torch.no_grad()
def average(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its mean over all ranks, in place.

    Each rank calls it with tensors of the same shapes in the same order.

    Args:
        tensors: Of floating point or complex.
    """
    world_size = idist.get_world_size()
    if world_size == 1:
        return
    for tensor in tensors:
        summed = idist.all_reduce(tensor.clone())
        assert not isinstance(summed, float)  # it is one for a float only
        tensor.copy_(summed / world_size)
