"""The methods that a loop calls on its model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from engine.errors import ModelError, a_type

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from torch import Tensor
    from torch.nn import Module

__all__ = ["OptimizerWrapper", "require_step"]

_ARGUMENTS = {
    "train_step": "data, optim_wrapper",
    "val_step": "data",
    "test_step": "data",
}


class OptimizerWrapper(Protocol):
    """What a training step needs of an optimizer wrapper."""

    def optim_context(self, model: Module) -> AbstractContextManager[Any]:
        """What forward runs in."""

    def update_params(self, loss: Tensor) -> None:
        """Run backward, and step when the window of iterations is full."""


def require_step(
    model: object, name: Literal["train_step", "val_step", "test_step"]
) -> Callable[..., Any]:
    """The step that a loop needs of its model.

    Args:
        model: The model, or a wrapper around it.
        name: The step's name.

    Returns:
        The bound method.

    Raises:
        ModelError: ``model`` has no such method, or is a class.

    >>> require_step(object(), "val_step")
    Traceback (most recent call last):
    engine.errors.ModelError: object has no val_step(data). Give it one, or wrap it: \
StepModel(object, loss=...).
    """
    if isinstance(model, type):
        # Its functions are callable, but there is nothing to call them on.
        msg = f"the model is the class {model.__name__}: pass {model.__name__}(...)."
        raise ModelError(msg)
    step = getattr(model, name, None)
    if callable(step):
        bound: Callable[..., Any] = step
        return bound
    kind = type(model).__name__
    call = f"{name}({_ARGUMENTS[name]})"
    found = f"{kind} has no {call}."
    if step is not None:
        found = f"{kind}.{name} is {a_type(step)}, not a method {call}."
    msg = f"{found} Give it one, or wrap it: StepModel({kind.lower()}, loss=...)."
    raise ModelError(msg)
