"""What stands between a loss and an optimizer's step: accumulation and clipping."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm
from torch.nn.utils import clip_grad_value_

from engine.errors import OptimizerError, a_type, did_you_mean
from engine.optim.accumulation import ends_window, window_length
from engine.optim.base_wrapper import BaseOptimWrapper
from engine.optim.grad_norm import clip_grad_norm
from engine.registry import OPTIM_WRAPPERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.nn import Module
    from torch.optim import Optimizer

__all__ = ["NO_CONTEXT", "OptimWrapper", "check_loss"]


_CLIPPERS: dict[str, Callable[..., Any]] = {
    "norm": clip_grad_norm,
    "value": clip_grad_value_,
}
_BOUND = {"norm": "max_norm", "value": "clip_value"}
NO_CONTEXT = nullcontext()  # keeps nothing, so all iterations may share one
_UNKNOWN = -1  # MMEngine's max_counts of a run whose length is not known


@OPTIM_WRAPPERS.register_module()
class OptimWrapper(BaseOptimWrapper):
    """Runs backward, clips, steps and zeroes, once per window of iterations.

    Not an attrs class: users subclass it in MMEngine's way and count iterations in
    ``_inner_count`` themselves, and validators would cost at each assignment.

    Args:
        optimizer: The optimizer that steps.
        accumulative_counts: Iterations whose gradients add up before a step, at
            least 1. Each loss is divided by the length of its window.
        clip_grad: ``None``, or ``{"type": "norm" | "value", ...}`` (``"norm"`` without
            ``type``) with the arguments of :func:`torch.nn.utils.clip_grad_norm_` or
            :func:`torch.nn.utils.clip_grad_value_`. It is not changed.

    Attributes:
        report: Called as ``report("train/grad_norm", norm)`` after each clipping by
            norm, with the norm before clipping as a tensor of shape ``()`` on its
            device: reading it there and then would make each step wait.

    Raises:
        OptimizerError: An argument is not one of the above.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        accumulative_counts: int = 1,
        clip_grad: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(optimizer)
        if type(accumulative_counts) is not int or accumulative_counts < 1:
            msg = (
                f"{type(self).__name__}: accumulative_counts is "
                f"{accumulative_counts!r}, but it is a number of iterations: an int "
                "of at least 1. Use 1 to step after each iteration."
            )
            raise OptimizerError(msg)
        self.clip_grad_type, self.clip_grad_kwargs = _read_clip_grad(clip_grad)
        self._accumulative_counts = accumulative_counts
        self._inner_count = 0
        self._max_counts: int | None = None
        closure = inspect.signature(optimizer.step).parameters.get("closure")
        self._needs_closure = (
            closure is not None and closure.default is inspect.Parameter.empty
        )

    def update_params(
        self,
        loss: Tensor,
        step_kwargs: Mapping[str, Any] | None = None,
        zero_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Add one iteration's gradients; at its window's end clip, step and zero.

        Args:
            loss: Shape ``()`` (or one element), any float dtype, requires grad.
            step_kwargs: Arguments of :meth:`step`.
            zero_kwargs: Arguments of :meth:`zero_grad`.

        Raises:
            OptimizerError: ``loss`` cannot be differentiated.
        """
        self.backward(self.scale_loss(loss))
        if self.should_update():
            self.step(**(step_kwargs or {}))
            self.zero_grad(**(zero_kwargs or {}))

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Divide the coming iteration's loss by the length of its window.

        Returns:
            The very ``loss`` if the window is one iteration long.

        Raises:
            OptimizerError: ``loss`` cannot be differentiated.
        """
        if self._accumulative_counts == 1:
            return loss
        check_loss(loss)
        length = window_length(
            self._inner_count,
            counts=self._accumulative_counts,
            max_iters=self._max_counts,
        )
        return loss if length == 1 else loss / length

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Add the loss's gradients to the parameters' and count one iteration.

        Args:
            loss: Shape ``()`` (or one element), any float dtype, requires grad.
            kwargs: Arguments of :meth:`torch.Tensor.backward`.

        Raises:
            OptimizerError: ``loss`` cannot be differentiated.
        """
        check_loss(loss)
        loss.backward(**kwargs)  # type: ignore[no-untyped-call] # torch's
        self._inner_count += 1

    def step(self, **kwargs: Any) -> None:
        """Clip the gradients if asked to, then let the optimizer step.

        Args:
            kwargs: Arguments of :meth:`torch.optim.Optimizer.step`.

        Raises:
            OptimizerError: The optimizer evaluates the model itself, and was given no
                ``closure`` for that.
        """
        if self._needs_closure and "closure" not in kwargs:
            msg = (
                f"{type(self.optimizer).__name__} evaluates the model several times a "
                "step, and needs a closure for that. Call update_params(loss, "
                "step_kwargs={'closure': ...}) in a train_step of your own, or take "
                "another optimizer."
            )
            raise OptimizerError(msg)
        if self.clip_grad_kwargs is not None:
            self._clip_grad()
        self.optimizer.step(**kwargs)

    def zero_grad(self, **kwargs: Any) -> None:
        """Drop the gradients.

        Args:
            kwargs: Arguments of :meth:`torch.optim.Optimizer.zero_grad`.
        """
        self.optimizer.zero_grad(**kwargs)

    def should_update(self) -> bool:
        """Whether no window is open: the last iteration, if any, ended one."""
        return self._accumulative_counts == 1 or self._is_edge(self._inner_count)

    def should_sync(self) -> bool:
        """Whether the coming backward ends a window, so that ranks must agree."""
        return self._accumulative_counts == 1 or self._is_edge(self._inner_count + 1)

    @property
    def inner_count(self) -> int:
        """Iterations that ran backward so far, those before a resume included."""
        return self._inner_count

    def initialize_count_status(
        self, model: Module | None, init_counts: int, max_counts: int
    ) -> None:
        """Say where in the run the next iteration is, and where the run ends.

        Without this call the run's length is unknown and every window is full.

        Args:
            model: Looked through for batch norm only, whose statistics accumulation
                does not accumulate: worth a warning.
            init_counts: Finished iterations, at least 0.
            max_counts: Iterations of the whole run, at least 0; -1 if not known.

        Raises:
            OptimizerError: A number is out of its range.
        """
        if init_counts < 0 or max_counts < _UNKNOWN:
            msg = (
                f"{type(self).__name__}.initialize_count_status: init_counts is "
                f"{init_counts!r} and max_counts {max_counts!r}, but they are the "
                "finished iterations (at least 0) and those of the whole run (at "
                "least 0, or -1 if not known)."
            )
            raise OptimizerError(msg)
        self._inner_count = init_counts
        self._max_counts = None if max_counts == _UNKNOWN else max_counts
        if self._accumulative_counts > 1 and _has_batch_norm(model):
            warnings.warn(
                f"accumulative_counts={self._accumulative_counts} with batch norm: its "
                "statistics are of one iteration's batch, not of a window's",
                stacklevel=2,
            )

    def optim_context(self, model: Module) -> AbstractContextManager[Any]:
        """What a training step's forward and backward run in.

        Returns:
            ``model.no_sync()`` while the coming backward does not end its window and
            ``model`` has it (as DDP has), else a context that does nothing.
        """
        if self._accumulative_counts != 1 and not self.should_sync():
            no_sync = getattr(model, "no_sync", None)
            if no_sync is not None:
                context: AbstractContextManager[Any] = no_sync()
                return context
        return NO_CONTEXT

    def count_state(self) -> Any:
        """How often backward ran, to be put back after :meth:`initialize_count_status`.

        A model may use a wrapper more or less often than once an iteration.
        """
        return self._inner_count

    def load_count_state(self, state: Any) -> None:
        """Put back what :meth:`count_state` gave."""
        self._inner_count = state

    def __repr__(self) -> str:
        """The settings, and the optimizer in its own words."""
        return (
            f"{type(self).__name__}(accumulative_counts={self._accumulative_counts}, "
            f"clip_grad={self.clip_grad_kwargs}, optimizer={self.optimizer!r})"
        )

    def _is_edge(self, done: int) -> bool:
        return done == 0 or ends_window(
            done - 1, counts=self._accumulative_counts, max_iters=self._max_counts
        )

    def _clip_grad(self) -> None:
        parameters = [p for p in self._parameters() if p.grad is not None]
        if not parameters:
            return
        norm = _CLIPPERS[self.clip_grad_type](parameters, **self.clip_grad_kwargs or {})
        if self.report is not None and self.clip_grad_type == "norm":
            self.report("train/grad_norm", norm)


def _read_clip_grad(
    clip_grad: Mapping[str, Any] | None,
) -> tuple[str, dict[str, Any] | None]:
    """Split ``clip_grad`` into a type and its arguments, or raise OptimizerError."""
    if clip_grad is None:
        return "norm", None
    if not isinstance(clip_grad, Mapping):
        msg = (
            f"clip_grad is {a_type(clip_grad)}, not a mapping. "
            'Write {"type": "norm", "max_norm": 1.0}, or None for no clipping.'
        )
        raise OptimizerError(msg)
    kwargs = dict(clip_grad)
    kind = kwargs.pop("type", "norm")
    if kind not in _CLIPPERS:
        hint = did_you_mean(str(kind), _CLIPPERS)
        msg = f"clip_grad: type is {kind!r}, but it is 'norm' or 'value'.{hint}"
        raise OptimizerError(msg)
    bound = _BOUND[kind]
    allowed = set(inspect.signature(_CLIPPERS[kind]).parameters) - {"parameters"}
    if bound not in kwargs or not kwargs.keys() <= allowed:
        msg = (
            f"clip_grad: type {kind!r} needs {bound!r} and may have "
            f"{sorted(allowed - {bound})}, but it was given {sorted(kwargs)}."
        )
        raise OptimizerError(msg)
    limit = kwargs[bound]
    # Not `limit < 0`: this way NaN is refused too.
    if not isinstance(limit, int | float) or not limit >= 0:
        msg = (
            f"clip_grad: {bound} is {limit!r}, but it is a length, a number of at "
            "least 0. Leave clip_grad out for no clipping."
        )
        raise OptimizerError(msg)
    order = kwargs.get("norm_type", 2)
    if not isinstance(order, int | float) and order not in ("inf", "-inf"):
        msg = f"clip_grad: norm_type is {order!r}, but it is a number, or 'inf'."
        raise OptimizerError(msg)
    return kind, kwargs


def check_loss(loss: Tensor) -> None:
    """Raise OptimizerError for what ``backward`` cannot start from.

    Looks at the host's record of the tensor only: no wait for its device.
    """
    if isinstance(loss, Tensor) and loss.requires_grad and loss.numel() == 1:
        return
    if not isinstance(loss, Tensor):
        found = f"{a_type(loss)}"
        advice = "Pass the loss itself; of a dict of losses, their sum."
    elif loss.numel() != 1:
        found = f"a tensor of shape {tuple(loss.shape)}"
        advice = "Reduce it first, e.g. by loss.mean()."
    else:
        found = "a tensor that does not require grad"
        advice = (
            "Compute it from parameters that require grad, outside torch.no_grad() "
            "and without detach()."
        )
    msg = f"the loss is {found}, but a scalar tensor that requires grad is needed. "
    raise OptimizerError(msg + advice)


def _has_batch_norm(model: Module | None) -> bool:
    kinds = (BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm)
    modules = () if model is None else model.modules()
    return any(isinstance(module, kinds) for module in modules)
