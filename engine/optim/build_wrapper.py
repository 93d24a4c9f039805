"""From a config's entry and a model to an optimizer wrapper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.config import at
from engine.errors import ConfigError, a_type
from engine.optim.base_wrapper import BaseOptimWrapper
from engine.optim.constructor import DefaultOptimWrapperConstructor
from engine.optim.multi import OptimWrapperDict
from engine.optim.wrapper import OptimWrapper
from engine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS

if TYPE_CHECKING:
    from torch import nn

__all__ = ["build_optim_wrapper"]


def build_optim_wrapper(model: nn.Module, cfg: Any) -> Any:
    """An optimizer wrapper around the model's parameters.

    Args:
        model: Whose parameters are optimized.
        cfg: A finished wrapper, a torch optimizer, finished wrappers by name,
            or a spec with ``optimizer`` and the wrapper's arguments. A spec is left to
            its ``constructor`` (a spec, or a name; ``DefaultOptimWrapperConstructor``
            without one), which is built with the rest of the spec as
            ``optim_wrapper_cfg`` and with ``paramwise_cfg``, and called with the model.

    Raises:
        ConfigError: It is none of these, or the spec lacks ``optimizer``.
        OptimizerError: Settings of the wrapper or its parameters cannot work.
    """
    if isinstance(cfg, BaseOptimWrapper):
        return cfg
    if isinstance(cfg, torch.optim.Optimizer):
        return OptimWrapper(cfg)
    if not isinstance(cfg, Mapping):
        message = (
            "optim_wrapper: expected an OptimWrapper, a torch.optim optimizer, or a "
            f"spec with 'optimizer'; found {a_type(cfg)}"
        )
        raise ConfigError(message)
    spec = dict(cfg)
    if spec.get("constructor") is not None:
        return _construct(spec, model)
    if isinstance(spec.get("optimizer"), torch.optim.Optimizer):
        return OPTIM_WRAPPERS.build({"type": "OptimWrapper", **spec})
    if "optimizer" in spec or "type" in spec or not spec:
        return _construct(
            {**spec, "constructor": DefaultOptimWrapperConstructor}, model
        )
    return _several(spec)


def _several(spec: dict[str, Any]) -> OptimWrapperDict:
    for name, one in spec.items():
        if not isinstance(one, BaseOptimWrapper):
            message = (
                f"optim_wrapper: needs 'optimizer', found {sorted(spec)}. If these are "
                f"several optimizers, {name!r} is {a_type(one)}: give finished "
                "wrappers, or a 'constructor' that makes them of the model"
            )
            raise ConfigError(message)
    return OptimWrapperDict(**spec)


def _construct(spec: dict[str, Any], model: nn.Module) -> Any:
    constructor = spec.pop("constructor")
    if not isinstance(constructor, Mapping):
        constructor = {"type": constructor}
    given = {
        "paramwise_cfg": spec.pop("paramwise_cfg", None),
        "optim_wrapper_cfg": spec,
    }
    with at("constructor"):
        built = OPTIM_WRAPPER_CONSTRUCTORS.build(constructor, **given)
    wrapper = built(model)
    if not isinstance(wrapper, BaseOptimWrapper):
        message = (
            f"optim_wrapper: {type(built).__name__} made {a_type(wrapper)}, expected "
            "an OptimWrapper"
        )
        raise ConfigError(message)
    return wrapper
