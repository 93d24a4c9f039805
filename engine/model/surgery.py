"""How a finished model's calls are made: recomputed to save memory, or compiled.

Both replace a method of an instance, not the module: names of weights stay, copies call
themselves and not the model they were copied from, and pickles hold no compiled code.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.checkpoint import checkpoint

from engine.errors import ModelError, did_you_mean
from engine.model.transparent import TransparentModule
from engine.model.wrapped import is_model_wrapper
from engine.registry.spec import check_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch.nn import Module

__all__ = ["compile_step", "turn_on_activation_checkpointing"]


def turn_on_activation_checkpointing(
    model: Module, modules: str | Sequence[str]
) -> None:
    """Let parts of a model forget their activations and compute them anew in backward.

    Saves memory for time. Gradients are the same to the bit, also with dropout; but a
    batch norm in such a part meets each batch twice, and so do its running statistics.

    Args:
        model: Its parts are changed in place. A part that is named again stays as
            it is.
        modules: Names of the parts, as ``named_modules`` has them.

    Raises:
        ModelError: There is no part of a name. Nothing is changed then.
    """
    parts = dict(model.named_modules(remove_duplicate=False))
    parts.pop("", None)
    names = [modules] if isinstance(modules, str) else list(modules)
    for name in names:
        if name not in parts:
            msg = (
                f"activation checkpointing: {type(model).__name__} has no part "
                f"{name!r}.{did_you_mean(name, parts)} It has "
                f"{', '.join(parts) or 'none'}."
            )
            raise ModelError(msg)
    for name in names:
        part = parts[name]
        forward = part.forward
        if not (isinstance(forward, partial) and forward.func is checkpoint):
            recomputed = partial(checkpoint, forward, use_reentrant=False)
            part.forward = recomputed


def compile_step(model: Module, options: bool | Mapping[str, Any] = True) -> Module:
    """Let ``torch.compile`` compile what a model does in a step.

    It is compiled when it is first called.

    Args:
        model: One of its methods is replaced; for ``"forward"`` that of the module
            inside wrappers, which their steps call. Its weights' names stay, unlike
            those of what ``torch.compile(model)`` returns.
        options: ``True``, or arguments of :func:`torch.compile` such as ``mode`` or
            ``backend``, and ``target``, the method's name (``"forward"`` without).
            ``False``: nothing is done.

    Returns:
        ``model``.

    Raises:
        ModelError: The model has no method ``target``.
        ConfigError: ``torch.compile`` has no such argument.
    """
    if options is False:
        return model
    arguments = {} if options is True else dict(options)
    target = arguments.pop("target", "forward")
    check_arguments(torch.compile, {"model": None, **arguments}, where="compile")
    owner = _innermost(model) if target == "forward" else model
    method = getattr(owner, target, None) if isinstance(target, str) else None
    if not callable(method):
        steps = ["forward", "train_step", "val_step", "test_step"]
        msg = (
            f"compile: {type(model).__name__} has no method {target!r}."
            f"{did_you_mean(str(target), steps)} Set target to 'forward' or a step "
            "that it has."
        )
        raise ModelError(msg)
    if isinstance(method, _Compiled):
        method = method.method
    setattr(owner, target, _Compiled(method, arguments))
    return model


def _innermost(model: Module) -> Module:
    """The module whose forward a step calls in the end.

    Inside DDP it is compiled with DDP's buckets in mind, for validation too.
    """
    while isinstance(model, TransparentModule) or is_model_wrapper(model):
        model = model.get_submodule("module")
    return model


class _Compiled:
    """A compiled method that copies and pickles as what it was made from."""

    def __init__(
        self, method: Callable[..., Any], arguments: Mapping[str, Any]
    ) -> None:
        self.method = method
        self._arguments = arguments
        self._run = torch.compile(method, **arguments)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copied method belongs to the copied model, so the copy compiles its own.
        return type(self), (self.method, self._arguments)
