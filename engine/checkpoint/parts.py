"""What a run is made of that has memory, by unique name."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from attrs import define, field

from engine.checkpoint.buffers import UnsavedBuffers
from engine.errors import CheckpointError, a_type
from engine.optim import OptimWrapperDict
from engine.state import GeneratorState
from engine.typing import Stateful

__all__ = ["Parts"]


@define(kw_only=True)
class Parts:
    """The stateful parts of a run.

    Args:
        model: Has ``state_dict`` and ``load_state_dict``.
        optimizer: A torch optimizer, or a wrapper of one or of several.
        param_schedulers: Schedules in the order in which they step; a list, or a dict
            of lists by optimizer.
        others: Anything else, by unique name.
    """

    model: Any = None
    optimizer: Any = None
    param_schedulers: Sequence[Any] | Mapping[str, Sequence[Any]] = ()
    others: dict[str, Stateful] = field(factory=dict)
    last_step: int | None = field(default=None, init=False)
    _unsaved: UnsavedBuffers | None = field(default=None, init=False)

    def take(
        self, *, model: Any = None, optimizer: Any = None, param_schedulers: Any = None
    ) -> None:
        """Set those of the three that are given.

        Raises:
            CheckpointError: One has no state to save.
        """
        for name, part in (("model", model), ("optimizer", optimizer)):
            if part is None:
                continue
            if not isinstance(part, Stateful):
                message = (
                    f"{name}: {a_type(part)} has no state_dict() and "
                    "load_state_dict(), so no checkpoint could carry it"
                )
                raise CheckpointError(message)
            setattr(self, name, part)
        if model is not None:
            self._unsaved = UnsavedBuffers(model)
        if param_schedulers is not None:
            one = hasattr(param_schedulers, "step")
            self.param_schedulers = [param_schedulers] if one else param_schedulers

    def track(self, name: str, part: Any) -> None:
        """Add a part.

        Args:
            name: Unique name; keys its state in checkpoints.
            part: Has ``state_dict`` and ``load_state_dict``, or is a generator of
                torch, NumPy or python.

        Raises:
            CheckpointError: The name is taken by another part, or the part has no
                state to save.
        """
        if isinstance(part, torch.Generator | np.random.Generator | random.Random):
            part = GeneratorState(part)
        if not isinstance(part, Stateful):
            message = (
                f"cannot track {name!r}: {a_type(part)} has no state_dict() "
                "and load_state_dict(). Give it both, or track what it holds."
            )
            raise CheckpointError(message)
        if self.others.get(name, part) != part:
            message = f"{name!r} is tracked already: give this part another name"
            raise CheckpointError(message)
        self.others[name] = part

    def optimizers(self) -> Iterator[torch.optim.Optimizer]:
        """The torch optimizers inside ``optimizer``."""
        yield from _unwrap(self.optimizer)

    def evaluating(self) -> list[str]:
        """Names of the model's modules that are in evaluation mode: frozen ones."""
        if not isinstance(self.model, torch.nn.Module):
            return []
        modules = self.model.named_modules()
        return [name for name, module in modules if not module.training]

    def set_evaluating(self, names: Sequence[str]) -> None:
        """Put exactly those modules of the model into evaluation mode."""
        if isinstance(self.model, torch.nn.Module):
            for name, module in self.model.named_modules():
                module.training = name not in names

    def unsaved_buffers(self) -> dict[str, torch.Tensor]:
        """Buffers that the model's ``state_dict`` leaves out, and that changed."""
        return {} if self._unsaved is None else self._unsaved.state()

    def load_unsaved_buffers(self, saved: Mapping[str, torch.Tensor]) -> None:
        """Put back what :meth:`unsaved_buffers` gave.

        Raises:
            CheckpointError: The model has no such buffer, or one of another shape.
        """
        if self._unsaved is None:
            self._unsaved = UnsavedBuffers(self.model)
        self._unsaved.load(saved)

    def schedulers_state(self) -> Any:
        """States of the schedules in the same arrangement."""
        if isinstance(self.param_schedulers, Mapping):
            return {
                name: [one.state_dict() for one in some]
                for name, some in self.param_schedulers.items()
            }
        return [one.state_dict() for one in self.param_schedulers]

    def load_schedulers(self, saved: Any) -> None:
        """Put states of the schedules back.

        Raises:
            CheckpointError: Their number or arrangement is another one.
        """
        mine: Any = self.param_schedulers
        pairs = {"": (mine, saved)}
        fits = isinstance(mine, Mapping) == isinstance(saved, Mapping)
        if fits and isinstance(mine, Mapping):
            fits = set(mine) == set(saved)
            pairs = {name: (mine[name], saved.get(name)) for name in mine}
        for have, want in pairs.values():
            fits = fits and len(have) == len(want)
        if not fits:
            message = (
                f"param_schedulers: the run has {_shape(mine)}, the checkpoint "
                f"{_shape(saved)}. Resume with the schedules it was saved with, or "
                "pass resume_param_scheduler=False."
            )
            raise CheckpointError(message)
        for have, want in pairs.values():
            for schedule, state in zip(have, want, strict=True):
                schedule.load_state_dict(state)

    def gradients(self, iteration: int) -> Any:
        """Gradients that the next backward adds to; ``None`` if there are none.

        Args:
            iteration: Iterations finished. A bare optimizer that did not step in the
                last of them is inside a window of the user's own; if it did, what is
                left is zeroed before the next backward.
        """
        state = getattr(self.optimizer, "gradient_state", None)
        if state is not None:
            return state()
        if self.optimizer is None or self.last_step == iteration - 1:
            return None
        grads = [parameter.grad for parameter in self._parameters()]
        if all(grad is None for grad in grads):
            return None
        return [None if grad is None else grad.detach().clone() for grad in grads]

    def counts(self) -> Any:
        """How often each optimizer wrapper ran backward; ``None`` without one."""
        state = getattr(self.optimizer, "count_state", None)
        return None if state is None else state()

    def load_counts(self, saved: Any, iteration: int) -> None:
        """Put back how often wrappers ran backward.

        Args:
            saved: What :meth:`counts` gave; ``None``: once an iteration.
            iteration: Iterations finished.
        """
        load = getattr(self.optimizer, "load_count_state", None)
        if load is not None and saved is not None:
            load(saved)
        elif load is not None:
            self.optimizer.initialize_count_status(None, iteration, -1)

    def _parameters(self) -> list[Any]:
        return [
            parameter
            for optimizer in self.optimizers()
            for group in optimizer.param_groups
            for parameter in group["params"]
        ]

    def load_gradients(self, saved: Any) -> None:
        """Put gradients of an open accumulation window back."""
        load = getattr(self.optimizer, "load_gradient_state", None)
        if load is not None:
            load(saved)
        elif saved is not None:
            for parameter, grad in zip(self._parameters(), saved, strict=True):
                parameter.grad = None if grad is None else grad.to(parameter.device)


def _unwrap(optimizer: Any) -> Iterator[torch.optim.Optimizer]:
    if isinstance(optimizer, torch.optim.Optimizer):
        yield optimizer
    elif isinstance(optimizer, Mapping | OptimWrapperDict):
        for one in optimizer.values():
            yield from _unwrap(one)
    elif hasattr(optimizer, "optimizer"):
        yield from _unwrap(optimizer.optimizer)


def _shape(schedules: Any) -> str:
    if isinstance(schedules, Mapping):
        return str({name: len(some) for name, some in schedules.items()})
    return str(len(schedules))
