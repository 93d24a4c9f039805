"""Gradients sent in fewer bits: torch's hooks of DDP, by name."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from attrs import define, field
from torch.nn.parallel import DistributedDataParallel

from engine.errors import ConfigError, SerializationError, a_type, did_you_mean
from engine.registry.spec import check_arguments
from engine.state import check_format

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["Compression", "PowerMemory"]

_NAMES = ("fp16", "bf16", "powersgd")


@define(eq=False)
class Compression:
    """How gradients are sent.

    Args:
        name: ``"fp16"``, ``"bf16"`` or ``"powersgd"``.
        settings: Arguments of torch's ``PowerSGDState``.
    """

    name: str
    settings: Mapping[str, Any]
    memory: PowerMemory | None = field(default=None, init=False)

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

        bf16 = default_hooks.bf16_compress_hook
        hooks: dict[str, Any] = {
            "fp16": default_hooks.fp16_compress_hook,
            # By torch's own name DDP takes it on CUDA alone; gloo has bfloat16 too.
            "bf16": lambda group, bucket: bf16(group, bucket),  # noqa: PLW0108  # by its name
        }
        if self.name in hooks:
            for one in reducing:
                one.register_comm_hook(None, hooks[self.name])
            return
        kind = powerSGD_hook.PowerSGDState
        arguments = {"process_group": None, **self.settings}
        check_arguments(kind, arguments, where="gradient_compression")
        states = [kind(**arguments) for _ in reducing]
        for one, state in zip(reducing, states, strict=True):
            one.register_comm_hook(state, powerSGD_hook.powerSGD_hook)
        self.memory = PowerMemory(states)


class PowerMemory:
    """What PowerSGD remembers: each rank's errors, its guesses, and how far it is.

    Args:
        states: torch's, one for each DDP.
    """

    def __init__(self, states: Sequence[Any]) -> None:
        self._states = states

    def state_dict(self) -> dict[str, Any]:
        """Plain data and tensors, which the next step changes."""
        return {"format": 1, "states": [_remembered(one) for one in self._states]}

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Take over what :meth:`state_dict` gave.

        Raises:
            SerializationError: It is of another form.
        """
        check_format("gradient_compression", state_dict, {"format": 1, "states": []})
        if len(state_dict["states"]) != len(self._states):
            message = (
                f"gradient_compression: {len(state_dict['states'])} wrappers were "
                f"saved, and there are {len(self._states)}"
            )
            raise SerializationError(message)
        for mine, saved in zip(self._states, state_dict["states"], strict=True):
            for name in (*_NUMBERS, *_TENSORS):
                setattr(mine, name, copy.deepcopy(saved[name]))
            kind, keys, *others = saved["rng"]
            mine.rng.set_state((kind, keys.numpy().astype("uint32"), *others))


_NUMBERS = (
    "iter",
    "total_numel_before_compression",
    "total_numel_after_compression",
    "next_stats_report",
)
_TENSORS = ("error_dict", "p_memory_dict", "q_memory_dict")


def _remembered(state: Any) -> dict[str, Any]:
    kind, keys, *others = state.rng.get_state()
    return {
        **{name: getattr(state, name) for name in _NUMBERS},
        **{name: dict(getattr(state, name)) for name in _TENSORS},
        "rng": [str(kind), torch.from_numpy(keys.astype("int64")), *others],
    }


def _reduces(module: Module) -> bool:
    """Whether it is a DDP with a reducer, as a separate one is not."""
    return isinstance(module, DistributedDataParallel) and hasattr(module, "reducer")
