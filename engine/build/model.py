"""The model from its spec: built, placed, wrapped and compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from engine.build.strategy import build_strategy
from engine.config import at
from engine.errors import ConfigError, a_type
from engine.model import StepModel, compile_step, is_model_wrapper
from engine.registry import MODELS
from engine.strategies import SingleStrategy, Strategy

__all__ = ["build_model", "compile_model", "unwrap", "wrap_model"]


def build_model(model: Any, strategy: Strategy | None = None) -> nn.Module:
    """A model from its spec, on the device that the run uses.

    Args:
        model: A module, or a spec of one; in that of a ``StepModel``, ``module`` and
            ``loss`` may be specs too. A spec is built when the run is seeded, so its
            first weights follow from the seed.
        strategy: Says where it lies, and may build it without memory; ``None``: one
            process.

    Raises:
        ConfigError: It is neither.
    """
    strategy = SingleStrategy() if strategy is None else strategy
    built = model
    if isinstance(model, Mapping):
        with strategy.building():
            built = _build(model)
    if not isinstance(built, nn.Module):
        message = (
            f"model: expected a torch.nn.Module or a spec of one, found {a_type(built)}"
        )
        raise ConfigError(message)
    if any(one.is_meta for one in built.parameters()):
        return built  # without memory: the strategy gives it some when it wraps it
    # CUDA_VISIBLE_DEVICES=-1 leaves the CPU.
    return built.to(strategy.device)


def _build(model: Mapping[str, Any]) -> Any:
    spec = dict(model)
    if _is_step_model(spec.get("type")):
        for name in ("module", "loss"):
            if isinstance(spec.get(name), Mapping):
                with at(name):
                    spec[name] = MODELS.build(spec[name])
    return MODELS.build(spec)


def _is_step_model(kind: Any) -> bool:
    """Whether a spec's ``type`` is one; other models build what is in theirs."""
    if isinstance(kind, str):
        kind = MODELS.get(kind)
    return isinstance(kind, type) and issubclass(kind, StepModel)


def wrap_model(
    model_wrapper_cfg: Any,
    model: nn.Module,
    *,
    distributed: bool,
    sync_bn: str | None = None,
    find_unused_parameters: bool = False,
) -> nn.Module:
    """A model wrapped for its processes.

    Args:
        model_wrapper_cfg: Spec of a wrapper, which gets the model as ``module``;
            ``None``: ``MMDistributedDataParallel`` with ``broadcast_buffers=False``.
        model: On its device already.
        distributed: Whether there are several processes; if not, and no wrapper is
            asked for, the model stays as it is but for SyncBatchNorm, which cannot
            work and becomes BatchNorm.
        sync_bn: ``"torch"`` turns BatchNorm into SyncBatchNorm.
        find_unused_parameters: Of the default wrapper.

    Raises:
        ConfigError: The model is wrapped already, or a setting is none of those.
    """
    wrapping = build_strategy(
        None,
        model_wrapper_cfg=model_wrapper_cfg,
        sync_bn=sync_bn,
        find_unused_parameters=find_unused_parameters,
    )
    if not distributed and model_wrapper_cfg is None:
        wrapping = SingleStrategy()
    return wrapping.wrap(model)


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside a wrapper, or the model itself: its state has plain names."""
    if is_model_wrapper(model):
        inner: nn.Module = model.module  # type: ignore[assignment]  # wrappers have it
        return inner
    return model


def compile_model(model: nn.Module, options: Any) -> bool:
    """Let ``torch.compile`` compile the model's step, if asked for.

    Args:
        model: Its ``options["target"]`` is compiled, ``forward`` if not given.
        options: ``True``, a mapping of ``torch.compile``'s options and ``target``, or
            ``None`` or ``False`` for nothing.

    Returns:
        Whether anything was compiled.

    Raises:
        ConfigError: It is none of these.
    """
    if options is None or options is False:
        return False
    if options is not True and not isinstance(options, Mapping):
        message = (
            "compile: expected True or a mapping of torch.compile's options, found "
            f"{options!r}"
        )
        raise ConfigError(message)
    compile_step(model, {} if options is True else dict(options))
    return True
