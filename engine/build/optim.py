"""Optimizer wrappers and schedules from their specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from engine.build.where import at
from engine.errors import ConfigError, a_type
from engine.optim import OptimWrapper
from engine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
)

__all__ = ["build_optim_wrapper", "build_param_schedulers"]


def build_optim_wrapper(model: nn.Module, optim_wrapper: Any) -> Any:
    """An optimizer wrapper around the model's parameters.

    Args:
        model: Whose parameters are optimized.
        optim_wrapper: A finished wrapper, a torch optimizer, or a spec with
            ``optimizer`` (a spec or an object) and the wrapper's arguments; its
            ``type`` is ``OptimWrapper`` if it has none. A spec with ``constructor``
            (a spec, or a name) is left to that: it is built with the rest of the spec
            as ``optim_wrapper_cfg`` and with ``paramwise_cfg``, and called with the
            model.

    Raises:
        ConfigError: It is none of these, or the spec lacks ``optimizer``.
    """
    if isinstance(optim_wrapper, OptimWrapper):
        return optim_wrapper
    if isinstance(optim_wrapper, torch.optim.Optimizer):
        return OptimWrapper(optim_wrapper)
    if not isinstance(optim_wrapper, Mapping):
        message = (
            "optim_wrapper: expected an OptimWrapper, a torch.optim optimizer, or a "
            f"spec with 'optimizer'; found {a_type(optim_wrapper)}"
        )
        raise ConfigError(message)
    spec = {"type": "OptimWrapper", **optim_wrapper}
    if spec.get("constructor") is not None:
        return _construct(spec, model)
    optimizer = spec.pop("optimizer", None)
    if optimizer is None:
        message = f"optim_wrapper: needs 'optimizer', found {sorted(spec)}"
        raise ConfigError(message)
    if isinstance(optimizer, Mapping):
        with at("optimizer"):
            optimizer = OPTIMIZERS.build(optimizer, params=model.parameters())
    return OPTIM_WRAPPERS.build(spec, optimizer=optimizer)


def _construct(spec: dict[str, Any], model: nn.Module) -> Any:
    constructor = spec.pop("constructor")
    if not isinstance(constructor, Mapping):
        constructor = {"type": constructor}
    given = {
        "optim_wrapper_cfg": spec,
        "paramwise_cfg": spec.pop("paramwise_cfg", None),
    }
    with at("constructor"):
        built = OPTIM_WRAPPER_CONSTRUCTORS.build(constructor, **given)
    wrapper = built(model)
    if not isinstance(wrapper, OptimWrapper):
        message = (
            f"optim_wrapper: {type(built).__name__} made {a_type(wrapper)}, "
            "expected an OptimWrapper"
        )
        raise ConfigError(message)
    return wrapper


def build_param_schedulers(
    schedules: Any, optim_wrapper: Any, *, max_epochs: int, max_iters: int
) -> list[Any]:
    """Schedules of the optimizer's values.

    Args:
        schedules: A schedule or a spec, or a list of them; ``None``: none. In a spec
            ``end`` defaults to the run's length, and ``convert_to_iter_based=True``
            lets one that is given in epochs step with each iteration.
        optim_wrapper: What they act on.
        max_epochs: The run's length in epochs.
        max_iters: The run's length in iterations; 0 if that is not known.

    Raises:
        ConfigError: Something is neither a schedule nor a spec, or an epoch's length
            is needed and not known.
        ScheduleError: A schedule's settings cannot work.
    """
    if schedules is None:
        return []
    if not isinstance(schedules, Sequence):
        schedules = [schedules]
    built = []
    for index, one in enumerate(schedules):
        with at(index):
            built.append(_build(one, optim_wrapper, index, max_epochs, max_iters))
    return built


def _build(
    schedule: Any, optim_wrapper: Any, index: int, max_epochs: int, max_iters: int
) -> Any:
    if not isinstance(schedule, Mapping):
        if callable(getattr(schedule, "step", None)):
            return schedule
        message = (
            f"param_scheduler[{index}]: expected a schedule or a spec, found "
            f"{a_type(schedule)}"
        )
        raise ConfigError(message)
    spec = dict(schedule)
    end = max_epochs if spec.get("by_epoch", True) else max_iters
    if end:
        spec.setdefault("end", end)
    return PARAM_SCHEDULERS.build(
        spec,
        optimizer=getattr(optim_wrapper, "optimizer", optim_wrapper),
        # Only a spec with convert_to_iter_based needs it.
        epoch_length=max_iters // max_epochs if max_iters else None,
    )
