"""Telling a wrapper around a model from the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import DataParallel
from torch.nn.parallel import DistributedDataParallel

from engine.registry import MODEL_WRAPPERS

if TYPE_CHECKING:
    from torch.nn import Module

    from engine.registry import Registry

__all__ = ["is_model_wrapper"]

MODEL_WRAPPERS.register_module(module=DataParallel)
MODEL_WRAPPERS.register_module(module=DistributedDataParallel)


def is_model_wrapper(model: Module, registry: Registry = MODEL_WRAPPERS) -> bool:
    """Whether ``model`` is a wrapper around a model, such as DDP.

    Args:
        model: Any module.
        registry: Holds the wrappers' classes; what is registered in its children
            counts too. Functions in it do not: what they return tells for itself.

    >>> from torch import nn
    >>> is_model_wrapper(nn.DataParallel(nn.ReLU())), is_model_wrapper(nn.ReLU())
    (True, False)
    """
    kinds = registry.module_dict.values()
    classes = tuple(each for each in kinds if isinstance(each, type))
    if isinstance(model, classes):
        return True
    children = registry.children.values()
    return any(is_model_wrapper(model, child) for child in children)
