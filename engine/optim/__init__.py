"""Optimizer wrappers, optimizers by name, and parameter schedulers."""

from __future__ import annotations

from engine.optim.accumulation import ends_window, optimizer_steps, window_length
from engine.optim.optimizers import register_torch_optimizers
from engine.optim.scale_lr import lr_ratio, scale_lr
from engine.optim.scheduler import (
    CosineAnnealingLR,
    CosineAnnealingMomentum,
    CosineAnnealingParamScheduler,
    LinearLR,
    LinearMomentum,
    LinearParamScheduler,
    LRSchedulerMixin,
    MomentumSchedulerMixin,
    MultiStepLR,
    MultiStepMomentum,
    MultiStepParamScheduler,
    _ParamScheduler,
)
from engine.optim.wrapper import OptimWrapper

__all__ = [
    "CosineAnnealingLR",
    "CosineAnnealingMomentum",
    "CosineAnnealingParamScheduler",
    "LRSchedulerMixin",
    "LinearLR",
    "LinearMomentum",
    "LinearParamScheduler",
    "MomentumSchedulerMixin",
    "MultiStepLR",
    "MultiStepMomentum",
    "MultiStepParamScheduler",
    "OptimWrapper",
    "_ParamScheduler",
    "ends_window",
    "lr_ratio",
    "optimizer_steps",
    "register_torch_optimizers",
    "scale_lr",
    "window_length",
]
