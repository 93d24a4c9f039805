"""Parameter schedulers: curves over epochs or iterations."""

from __future__ import annotations

from engine.optim.scheduler.anneal import (
    CosineAnnealingParamScheduler,
    CosineRestartParamScheduler,
    OneCycleParamScheduler,
)
from engine.optim.scheduler.decay import (
    ExponentialParamScheduler,
    MultiStepParamScheduler,
    StepParamScheduler,
)
from engine.optim.scheduler.lengthen import (
    LengthChange,
    OnLonger,
    check_on_longer,
)
from engine.optim.scheduler.line import (
    ConstantParamScheduler,
    LinearParamScheduler,
    PolyParamScheduler,
)
from engine.optim.scheduler.names import (
    ConstantLR,
    ConstantMomentum,
    CosineAnnealingLR,
    CosineAnnealingMomentum,
    CosineRestartLR,
    CosineRestartMomentum,
    ExponentialLR,
    ExponentialMomentum,
    LinearLR,
    LinearMomentum,
    LRSchedulerMixin,
    MomentumSchedulerMixin,
    MultiStepLR,
    MultiStepMomentum,
    OneCycleLR,
    OneCycleMomentum,
    PolyLR,
    PolyMomentum,
    ReduceOnPlateauLR,
    ReduceOnPlateauMomentum,
    StepLR,
    StepMomentum,
)
from engine.optim.scheduler.plateau import (
    ReduceOnPlateauParamScheduler,
)
from engine.optim.scheduler.rehearsal import Place, Rehearsal, sample, tabulate
from engine.optim.scheduler.schedule import _ParamScheduler
from engine.optim.scheduler.torch_schedule import (
    TorchSchedule,
    register_torch_schedulers,
)

__all__ = [
    "ConstantLR",
    "ConstantMomentum",
    "ConstantParamScheduler",
    "CosineAnnealingLR",
    "CosineAnnealingMomentum",
    "CosineAnnealingParamScheduler",
    "CosineRestartLR",
    "CosineRestartMomentum",
    "CosineRestartParamScheduler",
    "ExponentialLR",
    "ExponentialMomentum",
    "ExponentialParamScheduler",
    "LRSchedulerMixin",
    "LengthChange",
    "LinearLR",
    "LinearMomentum",
    "LinearParamScheduler",
    "MomentumSchedulerMixin",
    "MultiStepLR",
    "MultiStepMomentum",
    "MultiStepParamScheduler",
    "OnLonger",
    "OneCycleLR",
    "OneCycleMomentum",
    "OneCycleParamScheduler",
    "Place",
    "PolyLR",
    "PolyMomentum",
    "PolyParamScheduler",
    "ReduceOnPlateauLR",
    "ReduceOnPlateauMomentum",
    "ReduceOnPlateauParamScheduler",
    "Rehearsal",
    "StepLR",
    "StepMomentum",
    "StepParamScheduler",
    "TorchSchedule",
    "_ParamScheduler",
    "check_on_longer",
    "register_torch_schedulers",
    "sample",
    "tabulate",
]
