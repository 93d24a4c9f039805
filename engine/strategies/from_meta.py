"""Values for a model that was built without memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from engine.checkpoint import is_sharded
from engine.errors import ModelError
from engine.strategies.drawn_whole import drawn_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor
    from torch.nn import Module

__all__ = ["check_has_values", "make_values"]

_SHOWN = 4  # names in a message


def make_values(
    model: Module, device: torch.device, *, computes_on: torch.device
) -> None:
    """Give a model memory for this rank's part, and the values its modules begin with.

    Args:
        model: On torch's ``meta`` device, its parameters cut over ranks already.
        device: Where its parameters are kept.
        computes_on: Where they are gathered; buffers are kept there.

    Raises:
        ModelError: A constructor computed a buffer, which nothing can do again.
    """
    lost = [
        f"{name}.{own}" if name else own
        for name, module in model.named_modules()
        if not hasattr(module, "reset_parameters")
        for own, buffer in module.named_buffers(recurse=False)
        if buffer.is_meta
    ]
    if lost:
        message = (
            f"meta_init: {_some(lost)} would lose what the constructor of their module "
            "computed. Give the module reset_parameters(), which computes it again, or "
            "make the buffer with device='cpu', which is then kept; or build the model "
            "without meta_init."
        )
        raise ModelError(message)
    kept = {
        (module, own): buffer
        for module in model.modules()
        for own, buffer in module.named_buffers(recurse=False)
        if not buffer.is_meta
    }
    model.to_empty(device=device)
    for module in model.modules():
        for own, empty in list(module.named_buffers(recurse=False)):
            buffer = kept.get((module, own), empty)
            # Registered anew, so that it shares no memory with what is kept.
            persistent = own not in module._non_persistent_buffers_set  # noqa: SLF001  # torch has no public way
            moved = buffer.to(computes_on, copy=True)
            module.register_buffer(own, moved, persistent=persistent)
    for _, tensor in _tensors(model):
        _local(tensor).fill_(_nothing(tensor.dtype))
    for (module, own), buffer in kept.items():
        module.get_buffer(own).copy_(buffer)
    with drawn_whole(), torch.no_grad():
        for module in model.modules():
            reset: Any = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()


def check_has_values(model: Module) -> None:
    """Check that nothing was left as :func:`make_values` found it.

    Raises:
        ModelError: Something was.
    """
    left = []
    for name, tensor in _tensors(model):
        local = _local(tensor)
        nothing = _nothing(tensor.dtype)
        if local.numel() and nothing is not False:
            same = local.isnan() if nothing != nothing else local == nothing  # noqa: PLR0124  # NaN
            if bool(same.all()):
                left.append(name)
    if left:
        message = (
            f"meta_init: {_some(left)} have no values: neither reset_parameters() of "
            "their module nor init_weights() of the model sets them. Let one of them "
            "do so, or build the model without meta_init."
        )
        raise ModelError(message)


def _tensors(model: Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _local(tensor: Any) -> Tensor:
    local: Any = tensor.detach()
    found: Tensor = local.to_local() if is_sharded(local) else local
    return found


def _nothing(dtype: torch.dtype) -> float | int | bool:
    """What no initialization gives to a whole tensor."""
    if dtype.is_floating_point or dtype.is_complex:
        return float("nan")
    return False if dtype is torch.bool else torch.iinfo(dtype).min


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
