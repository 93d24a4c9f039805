"""Models whose weights are averages of another model's over its training."""

from __future__ import annotations

import copy
import warnings
from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Module

from engine.errors import ConfigError, ModelError, did_you_mean
from engine.registry import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "BaseAveragedModel",
    "ExponentialMovingAverage",
    "MomentumAnnealingEMA",
    "StochasticWeightAverage",
]

_UNUSUAL = 0.5
"""A momentum above it is, as a rule, one that was meant for the other side."""


class BaseAveragedModel(Module, metaclass=ABCMeta):
    """A copy of a model whose weights are averages over the model's own.

    torch's ``AveragedModel`` waits for the device in each update, to look at its count;
    here the count stays on the host. A subclass says in :meth:`avg_func` how the
    average moves.

    Args:
        model: What is copied, and averaged from then on.
        interval: Averages move once in so many updates, at least 1.
        device: Where the copy is; ``None``: where the model is.
        update_buffers: Whether buffers of floats are averaged too. Others, and
            without it all, are copied from the model in each update.

    Attributes:
        module: The copy; its parameters want no gradients.
        steps: Updates so far, shape ``()``, saved with the weights.

    Raises:
        ConfigError: ``interval`` is no number of updates, or the model's parameters are
            cut over ranks.
    """

    steps: Tensor

    def __init__(
        self,
        model: Module,
        interval: int = 1,
        device: torch.device | str | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__()
        if type(interval) is not int or interval < 1:
            msg = (
                f"{type(self).__name__}: interval is {interval!r}, but it is a number "
                "of updates: an int of at least 1."
            )
            raise ConfigError(msg)
        if any(hasattr(one, "device_mesh") for one in model.parameters()):
            msg = (
                f"{type(self).__name__} keeps a copy of the model, and torch copies "
                "none whose parameters are cut over ranks: train without FSDP2, or "
                "without an average"
            )
            raise ConfigError(msg)
        self.module = copy.deepcopy(model).requires_grad_(False)
        self.interval = interval
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("steps", torch.tensor(0, dtype=torch.long, device="cpu"))
        self.update_buffers = update_buffers

    @abstractmethod
    def avg_func(
        self, averaged_param: Tensor, source_param: Tensor, steps: int
    ) -> None:
        """Move one average towards the model's value, in place.

        Args:
            averaged_param: The average, of a float dtype; it is changed.
            source_param: The model's value, on the same device.
            steps: Updates before this one, at least 1.
        """

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the averaged copy."""
        return self.module(*args, **kwargs)

    @torch.no_grad()
    def update_parameters(self, model: Module) -> None:
        """Let the averages follow the model; the first update copies it.

        Args:
            model: As it is after an optimizer step. It is not changed.

        Raises:
            ModelError: It is of another form than the one that was copied.
        """
        steps = int(self.steps)
        moves = steps % self.interval == 0
        if moves:
            self._follow(model, Module.named_parameters, steps=steps)
        if moves or not self.update_buffers:
            moved = steps if self.update_buffers else 0
            self._follow(model, Module.named_buffers, steps=moved)
        self.steps += 1

    def _follow(
        self,
        model: Module,
        tensors: Callable[[Module], Iterable[tuple[str, Tensor]]],
        *,
        steps: int,
    ) -> None:
        """Average what ``tensors`` names, or copy it: what is whole, and at step 0."""
        sources = dict(tensors(model))
        for name, average in tensors(self.module):
            source = sources.get(name)
            if source is None or source.shape != average.shape:
                raise ModelError(_no_source(name, sources, type(model).__name__))
            if steps and (average.is_floating_point() or average.is_complex()):
                self.avg_func(average, source.to(average.device), steps)
            else:
                average.copy_(source)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        # The count is read in each update: on the host that waits for no device.
        steps = self.steps
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call] # torch's
        self.steps = steps
        return self


@MODELS.register_module()
class StochasticWeightAverage(BaseAveragedModel):
    """The plain mean of the model's weights.

    Izmailov et al., "Averaging Weights Leads to Wider Optima and Better
    Generalization" (arXiv:1803.05407).

    Args:
        model: As for :class:`BaseAveragedModel`.
        interval: As there.
        device: As there.
        update_buffers: As there.
    """

    def avg_func(
        self, averaged_param: Tensor, source_param: Tensor, steps: int
    ) -> None:
        """Let the average be the mean of all values that it has moved to.

        Args:
            averaged_param: The average; it is changed.
            source_param: The model's value.
            steps: Updates before this one.
        """
        share = 1 / (steps // self.interval + 1)
        averaged_param.add_(source_param - averaged_param, alpha=share)


@MODELS.register_module()
class ExponentialMovingAverage(BaseAveragedModel):
    """An average in which the model's older weights count less and less.

    ``average = (1 - momentum) * average + momentum * weight`` at each move.

    Args:
        model: As for :class:`BaseAveragedModel`.
        momentum: Share of the model's present weights, between 0 and 1 and small:
            one minus what others call decay.
        interval: As for :class:`BaseAveragedModel`.
        device: As there.
        update_buffers: As there.

    Raises:
        ConfigError: ``momentum`` is not between 0 and 1.
    """

    def __init__(
        self,
        model: Module,
        momentum: float = 0.0002,
        interval: int = 1,
        device: torch.device | str | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__(model, interval, device, update_buffers)
        if not isinstance(momentum, int | float) or not 0 < momentum < 1:
            msg = (
                f"{type(self).__name__}: momentum is {momentum!r}, but it is the share "
                "of the model's present weights, between 0 and 1, such as 0.0002."
            )
            raise ConfigError(msg)
        if momentum > _UNUSUAL:
            warnings.warn(
                f"{type(self).__name__}: momentum={momentum} is the share of the "
                "model's present weights, as a rule a small one; for a decay of "
                f"{momentum} set momentum={1 - momentum:g}",
                stacklevel=2,
            )
        self.momentum = momentum

    def avg_func(
        self, averaged_param: Tensor, source_param: Tensor, steps: int
    ) -> None:
        """Take a share of ``momentum`` of the model's value.

        Args:
            averaged_param: The average; it is changed.
            source_param: The model's value.
            steps: Updates before this one.
        """
        averaged_param.lerp_(source_param, self.momentum)


@MODELS.register_module()
class MomentumAnnealingEMA(ExponentialMovingAverage):
    """An exponential moving average that follows faster in the beginning.

    The share is ``max(momentum, gamma / (gamma + steps))``.

    Args:
        model: As for :class:`BaseAveragedModel`.
        momentum: The share that is reached in the end.
        gamma: At least 1; the larger, the longer the average follows fast.
        interval: As for :class:`BaseAveragedModel`.
        device: As there.
        update_buffers: As there.

    Raises:
        ConfigError: ``gamma`` or ``momentum`` is out of its range.
    """

    def __init__(
        self,
        model: Module,
        momentum: float = 0.0002,
        gamma: int = 100,
        interval: int = 1,
        device: torch.device | str | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__(model, momentum, interval, device, update_buffers)
        if not isinstance(gamma, int | float) or not gamma > 0:
            msg = f"{type(self).__name__}: gamma is {gamma!r}. Take 1 or more."
            raise ConfigError(msg)
        self.gamma = gamma

    def avg_func(
        self, averaged_param: Tensor, source_param: Tensor, steps: int
    ) -> None:
        """Take the share of this update of the model's value.

        Args:
            averaged_param: The average; it is changed.
            source_param: The model's value.
            steps: Updates before this one.
        """
        share = max(self.momentum, self.gamma / (self.gamma + steps))
        averaged_param.lerp_(source_param, share)


def _no_source(name: str, sources: Mapping[str, Tensor], kind: str) -> str:
    """What to say when the model has nothing that fits an average."""
    hint = did_you_mean(name, sources)
    if name in sources:
        hint = " Its shape is another one."
    elif f"module.{name}" in sources:
        hint = " It is a wrapper: pass the model in it, model.module."
    return (
        f"update_parameters: {kind} has no {name!r} as the copied model has it.{hint} "
        "Pass the model that is averaged."
    )
