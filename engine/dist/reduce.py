"""Reductions of many tensors at once, in few messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.dist.collectives import all_reduce, check_op
from engine.dist.context import get_world_size
from engine.dist.devices import get_comm_device
from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

    from torch import Tensor
    from torch.distributed import ProcessGroup

__all__ = ["all_reduce_dict", "all_reduce_params"]

_MB = 2**20


@torch.no_grad()
def all_reduce_dict(
    data: MutableMapping[str, Tensor],
    op: str = "sum",
    group: ProcessGroup | None = None,
) -> None:
    """Reduce all values of a dict over all ranks, in one message.

    Args:
        data: The same names with the same shapes on all ranks, in any order. Its values
            are replaced; of several types they get the one that holds them all, as in
            ``torch.cat``.
        op: As for :func:`all_reduce`.
        group: Whose ranks; ``None``: all.

    Raises:
        ConfigError: There is no such ``op``.
    """
    check_op(op)
    if get_world_size(group) <= 1 or not data:
        return
    names = sorted(data)
    flat = _flat([data[name].to(get_comm_device(group)) for name in names])
    all_reduce(flat, op, group)
    parts = torch.split(flat, [data[name].numel() for name in names])
    for name, part in zip(names, parts, strict=True):
        old = data[name]
        data[name] = part.reshape(old.shape).to(old.device)


@torch.no_grad()
def all_reduce_params(
    params: Iterable[Tensor],
    coalesce: bool = True,
    bucket_size_mb: int = -1,
    op: str = "sum",
    group: ProcessGroup | None = None,
) -> None:
    """Reduce parameters or buffers over all ranks, in place.

    Args:
        params: Of the same shapes and types in the same order on all ranks.
        coalesce: Whether they are sent together, those of one type and device; else
            each alone.
        bucket_size_mb: At most so many MB in one message; -1: without a bound.
        op: As for :func:`all_reduce`.
        group: Whose ranks; ``None``: all.

    Raises:
        ConfigError: There is no such ``op``, or ``bucket_size_mb`` is no size.
    """
    check_op(op)
    if bucket_size_mb != -1 and not bucket_size_mb > 0:
        message = f"bucket_size_mb={bucket_size_mb!r}: give a size in MB, or -1"
        raise ConfigError(message)
    if get_world_size(group) <= 1:
        return
    tensors = [each.detach() for each in params]
    if not coalesce:
        for tensor in tensors:
            all_reduce(tensor, op, group)
        return
    for bucket in _buckets(tensors, bucket_size_mb):
        flat = _flat(bucket)
        all_reduce(flat, op, group)
        parts = torch.split(flat, [each.numel() for each in bucket])
        for tensor, part in zip(bucket, parts, strict=True):
            tensor.copy_(part.reshape(tensor.shape))


def _buckets(tensors: list[Tensor], size_mb: int) -> list[list[Tensor]]:
    """Tensors in their order, those of a type and device together, up to a size."""
    open_ones: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    filled: dict[tuple[torch.dtype, torch.device], int] = {}
    done: list[list[Tensor]] = []
    for tensor in tensors:
        kind = tensor.dtype, tensor.device
        size = tensor.numel() * tensor.element_size()
        if size_mb > 0 and kind in open_ones and filled[kind] + size > size_mb * _MB:
            done.append(open_ones.pop(kind))
        filled[kind] = size + (filled[kind] if kind in open_ones else 0)
        open_ones.setdefault(kind, []).append(tensor)
    return [*done, *open_ones.values()]


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([each.reshape(-1) for each in tensors])
