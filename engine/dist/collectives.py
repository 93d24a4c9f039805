"""What all ranks do together with a tensor.

Each rank calls the same function with the same arguments but the data. Without a
process group, or alone in one, they do what is right for one rank, and wait for nobody.
Tensors may be on any device, of any strides; what comes back is where the data was.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from torch import distributed

from engine.dist.context import get_backend, get_rank, get_world_size, is_distributed
from engine.dist.devices import get_comm_device, sendable
from engine.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup

__all__ = [
    "all_gather",
    "all_reduce",
    "barrier",
    "broadcast",
    "check_op",
    "gather",
    "sync_random_seed",
]

_OPS = ("sum", "mean", "product", "min", "max", "band", "bor", "bxor")
_WIDER = {torch.int16: torch.int32}  # what backends cannot reduce, and what can hold it


def check_op(op: str) -> str:
    """The name of a reduction in lower case.

    Raises:
        ConfigError: There is none of that name.

    >>> check_op("SUM")
    'sum'
    """
    name = op.lower() if isinstance(op, str) else op
    if name not in _OPS:
        near = did_you_mean(name, _OPS) if isinstance(name, str) else ""
        message = f"op={op!r}: give {', '.join(_OPS)}{near}"
        raise ConfigError(message)
    return name


@torch.no_grad()
def all_reduce(
    data: Tensor, op: str = "sum", group: ProcessGroup | None = None
) -> None:
    """Reduce a tensor over all ranks, in place; the same bits on each.

    Args:
        data: Of the same shape and type on all ranks. A mean of whole numbers is cut
            to a whole number.
        op: ``sum``, ``mean``, ``product``, ``min``, ``max``, ``band``, ``bor`` or
            ``bxor``.
        group: Whose ranks; ``None``: all.

    Raises:
        ConfigError: There is no such ``op``.
    """
    name = check_op(op)
    world = get_world_size(group)
    if world <= 1:
        return
    sent = sendable(data, group).contiguous()
    sent = sent.to(_WIDER.get(sent.dtype, sent.dtype))
    torch_op = getattr(distributed.ReduceOp, "SUM" if name == "mean" else name.upper())
    distributed.all_reduce(sent, op=torch_op, group=group)
    if name == "mean" and sent.dtype is not torch.bool:
        whole = not (sent.is_floating_point() or sent.is_complex())
        sent.div_(world, rounding_mode="trunc" if whole else None)
    if sent is not data:
        data.copy_(sent)


@torch.no_grad()
def all_gather(data: Tensor, group: ProcessGroup | None = None) -> list[Tensor]:
    """Each rank's tensor, in the order of ranks.

    Args:
        data: Of the same shape and type on all ranks.
        group: Whose ranks; ``None``: all.

    Returns:
        New tensors on the device of ``data``; without other ranks ``data`` itself.
    """
    world = get_world_size(group)
    if world <= 1:
        return [data]
    sent = _bytes(sendable(data, group))
    parts = [torch.empty_like(sent) for _ in range(world)]
    distributed.all_gather(parts, sent, group=group)
    return [_like(part, data) for part in parts]


@torch.no_grad()
def gather(
    data: Tensor, dst: int = 0, group: ProcessGroup | None = None
) -> list[Tensor]:
    """Each rank's tensor, in the order of ranks, on one rank.

    Args:
        data: Of the same shape and type on all ranks.
        dst: The rank, counted among all.
        group: Whose ranks; ``None``: all.

    Returns:
        On ``dst`` new tensors on the device of ``data``, elsewhere an empty list;
        without other ranks ``data`` itself.
    """
    world = get_world_size(group)
    if world <= 1:
        return [data]
    sent = _bytes(sendable(data, group))
    here = get_rank() == dst
    parts = [torch.empty_like(sent) for _ in range(world)] if here else None
    distributed.gather(sent, parts, dst=dst, group=group)
    return [_like(part, data) for part in parts or ()]


@torch.no_grad()
def broadcast(data: Tensor, src: int = 0, group: ProcessGroup | None = None) -> None:
    """Let all ranks have one rank's tensor, in place.

    Args:
        data: Of the same shape and type on all ranks.
        src: The rank, counted among all.
        group: Whose ranks; ``None``: all.
    """
    if get_world_size(group) <= 1:
        return
    sent = _bytes(sendable(data, group))
    distributed.broadcast(sent, src=src, group=group)
    if get_rank() != src:
        data.copy_(_like(sent, data))


def barrier(group: ProcessGroup | None = None) -> None:
    """Wait until all ranks are here.

    Args:
        group: Whose ranks; ``None``: all.
    """
    if not is_distributed():
        return
    if get_backend(group) == "nccl":  # which else guesses the GPU, and warns of it
        here = torch.cuda.current_device()
        distributed.barrier(group=group, device_ids=[here])
    else:
        distributed.barrier(group=group)


def sync_random_seed(group: ProcessGroup | None = None) -> int:
    """A fresh seed from the operating system, the same on all ranks.

    No generator moves.

    Args:
        group: Whose ranks, rank 0 of all among them; ``None``: all.

    Returns:
        An int from 0 to 2**31 - 1.
    """
    drawn = int.from_bytes(os.urandom(4), "little") >> 1
    if get_world_size(group) <= 1:
        return drawn
    first = 0 if group is None else distributed.get_global_rank(group, 0)
    seed = torch.tensor(drawn, device=get_comm_device(group))
    broadcast(seed, src=first, group=group)
    return int(seed)


def _bytes(data: Tensor) -> Tensor:
    """A tensor's values as bytes: backends do not know all types."""
    return data.contiguous().reshape(-1).view(torch.uint8)


def _like(sent: Tensor, data: Tensor) -> Tensor:
    """What came as bytes, with the form and place of ``data``."""
    return sent.view(data.dtype).reshape(data.shape).to(data.device)
