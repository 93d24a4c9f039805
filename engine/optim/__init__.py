"""Optimizer wrappers, optimizers by name, and parameter schedulers."""

from __future__ import annotations

from engine.optim.accumulation import ends_window, optimizer_steps, window_length
from engine.optim.amp import AmpOptimWrapper, autocast
from engine.optim.base_wrapper import BaseOptimWrapper
from engine.optim.build_wrapper import build_optim_wrapper
from engine.optim.constructor import DefaultOptimWrapperConstructor
from engine.optim.grad_norm import clip_grad_norm
from engine.optim.multi import OptimWrapperDict
from engine.optim.optimizers import register_torch_optimizers
from engine.optim.scale_lr import lr_ratio, scale_lr
from engine.optim.scheduler import (
    ConstantLR,
    ConstantMomentum,
    ConstantParamScheduler,
    CosineAnnealingLR,
    CosineAnnealingMomentum,
    CosineAnnealingParamScheduler,
    CosineRestartLR,
    CosineRestartMomentum,
    CosineRestartParamScheduler,
    ExponentialLR,
    ExponentialMomentum,
    ExponentialParamScheduler,
    LinearLR,
    LinearMomentum,
    LinearParamScheduler,
    LRSchedulerMixin,
    MomentumSchedulerMixin,
    MultiStepLR,
    MultiStepMomentum,
    MultiStepParamScheduler,
    OneCycleLR,
    OneCycleMomentum,
    OneCycleParamScheduler,
    PolyLR,
    PolyMomentum,
    PolyParamScheduler,
    ReduceOnPlateauLR,
    ReduceOnPlateauMomentum,
    ReduceOnPlateauParamScheduler,
    StepLR,
    StepMomentum,
    StepParamScheduler,
    TorchSchedule,
    _ParamScheduler,
    register_torch_schedulers,
)
from engine.optim.wrapper import OptimWrapper
from engine.optim.zero import ZeroRedundancyOptimizer
from engine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIMIZERS

__all__ = [
    "OPTIMIZERS",
    "OPTIM_WRAPPER_CONSTRUCTORS",
    "AmpOptimWrapper",
    "BaseOptimWrapper",
    "ConstantLR",
    "ConstantMomentum",
    "ConstantParamScheduler",
    "CosineAnnealingLR",
    "CosineAnnealingMomentum",
    "CosineAnnealingParamScheduler",
    "CosineRestartLR",
    "CosineRestartMomentum",
    "CosineRestartParamScheduler",
    "DefaultOptimWrapperConstructor",
    "ExponentialLR",
    "ExponentialMomentum",
    "ExponentialParamScheduler",
    "LRSchedulerMixin",
    "LinearLR",
    "LinearMomentum",
    "LinearParamScheduler",
    "MomentumSchedulerMixin",
    "MultiStepLR",
    "MultiStepMomentum",
    "MultiStepParamScheduler",
    "OneCycleLR",
    "OneCycleMomentum",
    "OneCycleParamScheduler",
    "OptimWrapper",
    "OptimWrapperDict",
    "PolyLR",
    "PolyMomentum",
    "PolyParamScheduler",
    "ReduceOnPlateauLR",
    "ReduceOnPlateauMomentum",
    "ReduceOnPlateauParamScheduler",
    "StepLR",
    "StepMomentum",
    "StepParamScheduler",
    "TorchSchedule",
    "ZeroRedundancyOptimizer",
    "_ParamScheduler",
    "autocast",
    "build_optim_wrapper",
    "clip_grad_norm",
    "ends_window",
    "lr_ratio",
    "optimizer_steps",
    "register_torch_optimizers",
    "register_torch_schedulers",
    "scale_lr",
    "window_length",
]
