"""Mixed precision: forward in half the bits, and a loss that survives them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch.amp import GradScaler

from engine.errors import OptimizerError, a_type
from engine.optim.wrapper import NO_CONTEXT, OptimWrapper, check_loss
from engine.registry import OPTIM_WRAPPERS

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

__all__ = ["AmpOptimWrapper", "autocast"]

_DTYPES = {
    name: getattr(torch, name) for name in ("float16", "bfloat16", "float32", "float64")
}


def autocast(
    device_type: str | None = None,
    dtype: torch.dtype | None = None,
    enabled: bool = True,
    cache_enabled: bool | None = None,
) -> AbstractContextManager[Any]:
    """``torch.autocast`` on the device that runs use, in what fits it.

    Args:
        device_type: ``"cuda"`` or ``"cpu"``; ``None``: CUDA where there is one.
        dtype: What is computed in; ``None``: float16 on CUDA, bfloat16 on CPU.
        enabled: Whether anything is done.
        cache_enabled: Whether casts of weights are kept; ``None``: as torch does.

    Raises:
        OptimizerError: ``dtype`` cannot be computed in on this device.
    """
    device = device_type or ("cuda" if torch.cuda.is_available() else "cpu")
    cast = _read_dtype(dtype, device, where="autocast") if enabled else dtype
    return torch.autocast(
        device, dtype=cast, enabled=enabled, cache_enabled=cache_enabled
    )


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(OptimWrapper):
    """An optimizer wrapper whose steps run under autocast.

    With float16 the loss is scaled up before backward, so that small gradients do not
    vanish, and the gradients are scaled down before clipping and the step. A step whose
    gradients are not finite is left out, and the scale shrinks. bfloat16 has float32's
    range and needs no scale.

    Args:
        loss_scale: Of float16. ``"dynamic"``: :class:`torch.amp.GradScaler`'s own
            settings; a number: its ``init_scale``; a mapping: its arguments.
        dtype: What autocast computes in: ``"float16"``, ``"bfloat16"``, ... or torch's
            own; ``None``: float16 on CUDA, bfloat16 on CPU.
        use_fsdp: Whether gradients are sharded over ranks by FSDP: their norm and
            their overflow are then agreed on.
        kwargs: Of :class:`OptimWrapper`.

    Raises:
        OptimizerError: ``dtype`` is unknown or cannot be computed in on this device, or
            ``loss_scale`` is none of these.
    """

    def __init__(
        self,
        loss_scale: str | float | Mapping[str, Any] = "dynamic",
        dtype: str | torch.dtype | None = None,
        use_fsdp: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.device_type = "cuda" if torch.cuda.is_available() else "cpu"
        self.cast_dtype = _read_dtype(dtype, self.device_type, where="AmpOptimWrapper")
        settings = _read_loss_scale(loss_scale)
        self.loss_scaler = _scaler(
            self.device_type,
            enabled=self.cast_dtype is torch.float16,
            sharded=use_fsdp,
            settings=settings,
        )

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Add the scaled loss's gradients to the parameters' and count one iteration.

        Args:
            loss: Shape ``()`` (or one element), any float dtype, requires grad.
            kwargs: Arguments of :meth:`torch.Tensor.backward`.

        Raises:
            OptimizerError: ``loss`` cannot be differentiated.
        """
        check_loss(loss)
        scaled: Any = self.loss_scaler.scale(loss)
        scaled.backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs: Any) -> None:
        """Scale the gradients down, clip them, and step unless one is not finite.

        Args:
            kwargs: Arguments of :meth:`torch.optim.Optimizer.step`.
        """
        if self.clip_grad_kwargs is not None:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()

    def optim_context(self, model: Module) -> AbstractContextManager[Any]:
        """Autocast, and ``no_sync`` inside a window, around a step's forward."""
        cast = torch.autocast(self.device_type, dtype=self.cast_dtype)
        around = super().optim_context(model)
        if around is NO_CONTEXT:  # a stack costs more than what it would hold
            return cast
        stack = ExitStack()
        stack.enter_context(around)
        stack.enter_context(cast)
        return stack

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state, and the scaler's under ``"loss_scaler"``."""
        state = super().state_dict()
        state["loss_scaler"] = self.loss_scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the optimizer's state, and the scaler's if it is there."""
        state = dict(state_dict)
        scaler = state.pop("loss_scaler", None)
        super().load_state_dict(state)
        if scaler:  # one that is not enabled has an empty state
            self.loss_scaler.load_state_dict(scaler)


def _read_dtype(
    dtype: str | torch.dtype | None, device: str, *, where: str
) -> torch.dtype:
    if dtype is None:
        return torch.float16 if device == "cuda" else torch.bfloat16
    found = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if found not in _DTYPES.values():
        msg = f"{where}: dtype is {dtype!r}, allowed: {list(_DTYPES)} or None."
        raise OptimizerError(msg)
    assert found is not None
    if device == "cpu" and found is torch.float16:
        msg = (
            f"{where}: dtype is float16, which this CPU would compute in slowly "
            "and lose small gradients in. Use bfloat16 here, float16 on CUDA, or leave "
            "dtype out for the one that fits."
        )
        raise OptimizerError(msg)
    return found


def _read_loss_scale(loss_scale: str | float | Mapping[str, Any]) -> dict[str, Any]:
    if loss_scale == "dynamic":
        return {}
    if isinstance(loss_scale, int | float) and loss_scale > 0:
        return {"init_scale": float(loss_scale)}
    if isinstance(loss_scale, Mapping):
        return dict(loss_scale)
    msg = (
        f"AmpOptimWrapper: loss_scale is {loss_scale!r} ({a_type(loss_scale)}), but it "
        "is 'dynamic', a number above 0, or a mapping of GradScaler's arguments."
    )
    raise OptimizerError(msg)


def _scaler(
    device: str, *, enabled: bool, sharded: bool, settings: dict[str, Any]
) -> GradScaler:
    kind: Any = GradScaler
    if sharded:
        from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

        kind = ShardedGradScaler
    try:
        made: GradScaler = kind(device=device, enabled=enabled, **settings)
    except (TypeError, AssertionError) as error:
        msg = f"AmpOptimWrapper: loss_scale is {settings}: {error}"
        raise OptimizerError(msg) from error
    return made
