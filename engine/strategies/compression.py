"""Gradients sent in fewer bits: torch's hooks of DDP, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch.distributed.algorithms.ddp_comm_hooks import (
    default_hooks,
    powerSGD_hook,
)
from torch.nn.parallel import DistributedDataParallel

from engine.errors import ConfigError, a_type, did_you_mean
from engine.registry.spec import check_arguments

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["compress_gradients"]

_NAMES = ("fp16", "bf16", "powersgd")


def compress_gradients(model: Module, how: Mapping[str, Any] | str) -> None:
    """Let DDP send its gradients in fewer bits.

    Args:
        model: A DDP, or a module with some in it; each has a hook of its own.
        how: ``"fp16"``, ``"bf16"``, ``"powersgd"``, or a mapping with one of these as
            ``type``; that of ``"powersgd"`` may have arguments of torch's
            ``PowerSGDState``.

    Raises:
        ConfigError: It is none of these, or there is no DDP.
    """
    spec = {"type": how} if isinstance(how, str) else how
    if not isinstance(spec, Mapping) or spec.get("type") not in _NAMES:
        found = spec.get("type") if isinstance(spec, Mapping) else a_type(spec)
        hint = did_you_mean(str(found), _NAMES)
        message = (
            f"gradient_compression: found {found!r}, allowed: {', '.join(_NAMES)}, or "
            f"a mapping with one of them as type.{hint}"
        )
        raise ConfigError(message)
    settings = dict(spec)
    name = settings.pop("type")
    reducing: list[Any] = [one for one in model.modules() if _reduces(one)]
    if not reducing:
        message = (
            f"gradient_compression: {type(model).__name__} has no "
            "DistributedDataParallel in it, whose gradients could be compressed"
        )
        raise ConfigError(message)
    if name != "powersgd" and settings:
        message = f"gradient_compression: {name!r} takes no {sorted(settings)}"
        raise ConfigError(message)
    for one in reducing:
        if name == "powersgd":
            kind = powerSGD_hook.PowerSGDState
            arguments = {"process_group": None, **settings}
            check_arguments(kind, arguments, where="gradient_compression")
            one.register_comm_hook(kind(**arguments), powerSGD_hook.powerSGD_hook)
        else:
            one.register_comm_hook(None, _HOOKS[name])


def _reduces(module: Module) -> bool:
    """Whether it is a DDP with a reducer, as a separate one is not."""
    return isinstance(module, DistributedDataParallel) and hasattr(module, "reducer")


def _in_bf16(group: Any, bucket: Any) -> Any:
    """The hook of torch's under another name: by its own DDP takes it on CUDA alone.

    gloo has bfloat16 too.
    """
    return default_hooks.bf16_compress_hook(group, bucket)


_HOOKS = {"fp16": default_hooks.fp16_compress_hook, "bf16": _in_bf16}
