"""Gradients sent in fewer bits: torch's hooks of DDP, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen
from torch.nn.parallel import DistributedDataParallel

from engine.errors import ConfigError, a_type, did_you_mean
from engine.registry.spec import check_arguments

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["Compression"]

_NAMES = ("fp16", "bf16", "powersgd")


@frozen
class Compression:
    """How gradients are sent.

    Args:
        name: ``"fp16"``, ``"bf16"`` or ``"powersgd"``.
        settings: Arguments of torch's ``PowerSGDState``.
    """

    name: str
    settings: Mapping[str, Any]

    @classmethod
    def read(cls, how: Any) -> Compression | None:
        """What a setting stands for.

        Args:
            how: A name, or a mapping with one as ``type``; ``None``: no compression.

        Raises:
            ConfigError: It is none of these.
        """
        if how is None:
            return None
        spec = {"type": how} if isinstance(how, str) else how
        name = spec.get("type") if isinstance(spec, Mapping) else a_type(spec)
        if name not in _NAMES:
            message = (
                f"gradient_compression: found {name!r}, allowed: {', '.join(_NAMES)}, "
                f"or a mapping with one of them as type."
                f"{did_you_mean(str(name), _NAMES)}"
            )
            raise ConfigError(message)
        settings = {key: value for key, value in spec.items() if key != "type"}
        if name != "powersgd" and settings:
            message = f"gradient_compression: {name!r} takes no {sorted(settings)}"
            raise ConfigError(message)
        return cls(name, settings)

    def apply(self, model: Module) -> None:
        """Let DDP send its gradients so.

        Args:
            model: A DDP, or a module with some in it; each has a hook of its own.

        Raises:
            ConfigError: There is no DDP, or an argument is unknown.
        """
        # These take a while to import.
        from torch.distributed.algorithms.ddp_comm_hooks import (
            default_hooks,
            powerSGD_hook,
        )

        reducing: list[Any] = [one for one in model.modules() if _reduces(one)]
        if not reducing:
            message = (
                f"gradient_compression: {type(model).__name__} has no "
                "DistributedDataParallel in it, whose gradients could be compressed"
            )
            raise ConfigError(message)

        hooks: dict[str, Any] = {
            "fp16": default_hooks.fp16_compress_hook,
            # By torch's own name DDP takes it on CUDA alone; gloo has bfloat16 too.
            "bf16": lambda group, bucket: default_hooks.bf16_compress_hook(
                group, bucket
            ),
        }
        for one in reducing:
            if self.name in hooks:
                one.register_comm_hook(None, hooks[self.name])
                continue
            kind = powerSGD_hook.PowerSGDState
            arguments = {"process_group": None, **self.settings}
            check_arguments(kind, arguments, where="gradient_compression")
            one.register_comm_hook(kind(**arguments), powerSGD_hook.powerSGD_hook)


def _reduces(module: Module) -> bool:
    """Whether it is a DDP with a reducer, as a separate one is not."""
    return isinstance(module, DistributedDataParallel) and hasattr(module, "reducer")
