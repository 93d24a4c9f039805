"""A model looked at from outside, without a trace left in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from engine.errors import ModelError
from engine.state import fence

__all__ = ["traceable", "untouched"]


@contextmanager
def untouched(model: Module) -> Iterator[None]:
    """In the body ``model`` evaluates without gradients; after it, it is as before.

    Also each part's mode, the buffers and the random generators: a picture of the model
    must not change its training.
    """
    modes = {module: module.training for module in model.modules()}
    buffers = [(one, one.detach().clone()) for one in model.buffers()]
    model.eval()
    try:
        with fence(), torch.no_grad():
            yield
            for buffer, before in buffers:
                buffer.copy_(before)
    finally:
        for module, training in modes.items():
            module.training = training


def traceable(model: Module, data_batch: Any) -> tuple[Module, tuple[Tensor, ...]]:
    """A module that takes tensors only, and the tensors of a batch, for a tracer.

    Args:
        model: Ours with a ``data_preprocessor``, a ``StepModel``, or any module that
            takes the batch's inputs.
        data_batch: One batch as the loader gives it.

    Raises:
        ModelError: There is no tensor among the inputs.
    """
    seen = _Forward(model, data_batch)
    tensors = tuple(seen.tensors())
    if not tensors:
        message = (
            f"add_graph: the batch holds no tensor that {type(model).__name__} takes, "
            "and a model is traced with tensors. Give a batch as the loader does."
        )
        raise ModelError(message)
    return seen, tensors


class _Forward(Module):
    """Puts tensors where a batch's were, and runs the model on it."""

    def __init__(self, model: Module, data_batch: Any) -> None:
        super().__init__()
        self.model = model
        self.eval()
        preprocessor = getattr(model, "data_preprocessor", None)
        self._by_mode = preprocessor is not None
        if preprocessor is not None:
            self._data = preprocessor(data_batch, False)
        elif callable(split := getattr(model, "split", None)):
            self._data = [split(data_batch)[0]]
        else:
            pair = isinstance(data_batch, (list, tuple))
            self._data = [data_batch[0] if pair else data_batch]

    def tensors(self) -> list[Tensor]:
        """The batch's tensors, in the order in which they are found."""
        return _tensors(self._data)

    def forward(self, *tensors: Tensor) -> Any:
        """What the model makes of the batch with these tensors in it."""
        data = _replaced(self._data, iter(tensors))
        more = {"mode": "tensor"} if self._by_mode else {}
        if isinstance(data, Mapping):
            return self.model(**data, **more)
        return self.model(*data, **more)


def _tensors(data: Any) -> list[Tensor]:
    if isinstance(data, Tensor):
        return [data]
    if isinstance(data, Mapping):
        return [one for value in data.values() for one in _tensors(value)]
    if isinstance(data, (list, tuple)):
        return [one for value in data for one in _tensors(value)]
    return []


def _replaced(data: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(data, Tensor):
        return next(tensors)
    if isinstance(data, Mapping):
        return {name: _replaced(value, tensors) for name, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_replaced(value, tensors) for value in data]
    return data
