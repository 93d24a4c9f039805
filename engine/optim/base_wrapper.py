"""What every optimizer wrapper has: an optimizer, its settings and its state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer

from engine.errors import OptimizerError, a_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor
    from torch.nn import Parameter

__all__ = ["BaseOptimWrapper"]


class BaseOptimWrapper(ABC):
    """An optimizer, and how a loss becomes a step of it.

    To subclass where the windows and clipping of :class:`OptimWrapper` do not fit.

    Args:
        optimizer: The optimizer that steps.

    Attributes:
        report: Called as ``report(name, value)`` with scalars to log, such as
            ``"train/grad_norm"``; a Runner sets it. Values may be tensors of shape
            ``()`` on their device: reading them there and then makes each step wait.

    Raises:
        OptimizerError: ``optimizer`` is none.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            msg = (
                f"{type(self).__name__}: optimizer is {a_type(optimizer)}, "
                "not a torch.optim.Optimizer. Build the optimizer first and pass it."
            )
            raise OptimizerError(msg)
        self.optimizer = optimizer
        self.report: Callable[[str, Tensor], object] | None = None
        # Of several groups none need have the settings that all began from: these are
        # scheduled beside them, so that a log can show what the run's rate is.
        self.base_param_settings: dict[str, Any] | None = None
        if len(optimizer.param_groups) > 1:
            self.base_param_settings = {"params": [], **optimizer.defaults}

    @abstractmethod
    def update_params(self, *args: Any, **kwargs: Any) -> None:
        """Let the optimizer learn from a loss, as far as it is time to."""

    @abstractmethod
    def backward(self, loss: Any, **kwargs: Any) -> None:
        """Add a loss's gradients to the parameters'."""

    @abstractmethod
    def zero_grad(self, **kwargs: Any) -> None:
        """Drop the gradients."""

    @abstractmethod
    def step(self, **kwargs: Any) -> None:
        """Let the optimizer step."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The optimizer's own groups; of several, the settings of none come last."""
        if self.base_param_settings is None:
            return self.optimizer.param_groups
        return [*self.optimizer.param_groups, self.base_param_settings]

    @property
    def defaults(self) -> dict[str, Any]:
        """The optimizer's own default settings."""
        return self.optimizer.defaults

    def get_lr(self) -> dict[str, list[float]]:
        """The learning rate of each parameter group, under ``"lr"``.

        Of several groups also that of parameters without settings of their own, under
        ``"base_lr"``.
        """
        rates = {"lr": [group["lr"] for group in self.optimizer.param_groups]}
        if self.base_param_settings is not None and "lr" in self.base_param_settings:
            rates["base_lr"] = [self.base_param_settings["lr"]]
        return rates

    def get_momentum(self) -> dict[str, list[float]]:
        """The momentum of each parameter group, under ``"momentum"``.

        Returns:
            The first beta where a group has betas; 0 where it has neither.
        """
        groups = self.optimizer.param_groups
        return {"momentum": [_momentum(group) for group in groups]}

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state, as torch and MMEngine save it.

        Of several groups the settings of none stand under ``"base_param_settings"``.
        """
        state = self.optimizer.state_dict()
        if self.base_param_settings is not None:
            base = {k: v for k, v in self.base_param_settings.items() if k != "params"}
            state["base_param_settings"] = base
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load an optimizer's state, as torch and MMEngine save it."""
        state = dict(state_dict)
        base = state.pop("base_param_settings", None)
        self.optimizer.load_state_dict(state)
        if base is not None and self.base_param_settings is not None:
            self.base_param_settings.update(base, params=[])

    def gradient_state(self) -> list[Tensor | None] | None:
        """The gradients that the next backward adds to, which no other state holds.

        Those of an open window, and those that another optimizer's loss has left, or a
        step without :meth:`zero_grad`.

        Returns:
            One detached copy per parameter, in the order of ``param_groups`` (``None``
            for a parameter without gradient); ``None`` if no parameter has one.
        """
        grads = [parameter.grad for parameter in self._parameters()]
        if all(grad is None for grad in grads):
            return None
        return [None if grad is None else grad.detach().clone() for grad in grads]

    def load_gradient_state(self, state: Sequence[Tensor | None] | None) -> None:
        """Put back what :meth:`gradient_state` gave.

        Where the window stands is not part of it: call
        :meth:`initialize_count_status` too.

        Args:
            state: Copied, so it is not changed by later iterations. ``None`` drops
                all gradients.

        Raises:
            OptimizerError: It does not fit the parameters; nothing was changed.
        """
        parameters = self._parameters()
        if state is None:
            state = [None] * len(parameters)
        _check_gradients(state, parameters)
        for parameter, grad in zip(parameters, state, strict=True):
            parameter.grad = (
                None
                if grad is None
                else grad.detach().to(device=parameter.device, copy=True)
            )

    def _parameters(self) -> list[Parameter]:
        # Asked anew each time: groups may be added during a run.
        return [p for group in self.optimizer.param_groups for p in group["params"]]


def _check_gradients(
    state: Sequence[Tensor | None], parameters: Sequence[Parameter]
) -> None:
    """Raise OptimizerError if saved gradients do not fit these parameters."""
    if len(state) != len(parameters):
        msg = (
            f"load_gradient_state: {len(state)} gradients were saved, but the "
            f"optimizer has {len(parameters)} parameters. Load them into the model "
            "and optimizer that they were saved from."
        )
        raise OptimizerError(msg)
    for index, (grad, parameter) in enumerate(zip(state, parameters, strict=True)):
        if grad is not None and grad.shape != parameter.shape:
            msg = (
                f"load_gradient_state: gradient {index} has shape "
                f"{tuple(grad.shape)}, but its parameter {tuple(parameter.shape)}. "
                "Load them into the model and optimizer that they were saved from."
            )
            raise OptimizerError(msg)


def _momentum(group: Mapping[str, Any]) -> float:
    # Betas first: MMEngine's files may bring a copy called "momentum" beside them.
    momentum: float = (
        group["betas"][0] if "betas" in group else group.get("momentum", 0.0)
    )
    return momentum
