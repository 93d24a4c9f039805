"""Each schedule under its names for the learning rate and the momentum."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

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
from engine.optim.scheduler.line import (
    ConstantParamScheduler,
    LinearParamScheduler,
    PolyParamScheduler,
)
from engine.optim.scheduler.plateau import ReduceOnPlateauParamScheduler
from engine.optim.scheduler.schedule import _ParamScheduler
from engine.registry import PARAM_SCHEDULERS

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from engine.optim.wrapper import OptimWrapper

__all__ = [
    "ConstantLR",
    "ConstantMomentum",
    "CosineAnnealingLR",
    "CosineAnnealingMomentum",
    "CosineRestartLR",
    "CosineRestartMomentum",
    "ExponentialLR",
    "ExponentialMomentum",
    "LRSchedulerMixin",
    "LinearLR",
    "LinearMomentum",
    "MomentumSchedulerMixin",
    "MultiStepLR",
    "MultiStepMomentum",
    "OneCycleLR",
    "OneCycleMomentum",
    "PolyLR",
    "PolyMomentum",
    "ReduceOnPlateauLR",
    "ReduceOnPlateauMomentum",
    "StepLR",
    "StepMomentum",
]


class _OneParam(_ParamScheduler):
    """Takes the parameter's name out of a schedule's arguments."""

    _ONE_PARAM: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Show the arguments of the schedule beside it, where it has only ``*args``.

        ``help()`` lists them then, and a registry can name a misspelt one.
        """
        super().__init_subclass__(**kwargs)
        own = cls.__init__ is _OneParam.__init__
        init = super().__init__ if own else cls.__init__
        taken = ("self", "param_name") if own else ("self",)
        signature = inspect.signature(init)
        cls.__signature__ = signature.replace(  # type: ignore[attr-defined] # inspect's
            parameters=[p for n, p in signature.parameters.items() if n not in taken]
        )

    def __init__(
        self, optimizer: Optimizer | OptimWrapper, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(optimizer, self._ONE_PARAM, *args, **kwargs)


class LRSchedulerMixin(_OneParam):
    """Before a schedule in the bases: it moves the learning rate."""

    _ONE_PARAM = "lr"


class MomentumSchedulerMixin(_OneParam):
    """Before a schedule in the bases: it moves the momentum, or the first beta."""

    _ONE_PARAM = "momentum"


@PARAM_SCHEDULERS.register_module()
class ConstantLR(LRSchedulerMixin, ConstantParamScheduler):
    """:class:`ConstantParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class ConstantMomentum(MomentumSchedulerMixin, ConstantParamScheduler):
    """:class:`ConstantParamScheduler` of the momentum, or the first beta."""


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingLR(LRSchedulerMixin, CosineAnnealingParamScheduler):
    """:class:`CosineAnnealingParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingMomentum(MomentumSchedulerMixin, CosineAnnealingParamScheduler):
    """:class:`CosineAnnealingParamScheduler` of the momentum, or the first beta."""


@PARAM_SCHEDULERS.register_module()
class CosineRestartLR(LRSchedulerMixin, CosineRestartParamScheduler):
    """:class:`CosineRestartParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class CosineRestartMomentum(MomentumSchedulerMixin, CosineRestartParamScheduler):
    """:class:`CosineRestartParamScheduler` of the momentum, or the first beta."""


@PARAM_SCHEDULERS.register_module()
class ExponentialLR(LRSchedulerMixin, ExponentialParamScheduler):
    """:class:`ExponentialParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class ExponentialMomentum(MomentumSchedulerMixin, ExponentialParamScheduler):
    """:class:`ExponentialParamScheduler` of the momentum, or the first beta."""


@PARAM_SCHEDULERS.register_module()
class LinearLR(LRSchedulerMixin, LinearParamScheduler):
    """:class:`LinearParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class LinearMomentum(MomentumSchedulerMixin, LinearParamScheduler):
    """:class:`LinearParamScheduler` of the momentum, or the first beta."""


@PARAM_SCHEDULERS.register_module()
class MultiStepLR(LRSchedulerMixin, MultiStepParamScheduler):
    """:class:`MultiStepParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class MultiStepMomentum(MomentumSchedulerMixin, MultiStepParamScheduler):
    """:class:`MultiStepParamScheduler` of the momentum, or the first beta."""


@PARAM_SCHEDULERS.register_module()
class OneCycleLR(LRSchedulerMixin, OneCycleParamScheduler):
    """:class:`OneCycleParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class OneCycleMomentum(MomentumSchedulerMixin, OneCycleParamScheduler):
    """:class:`OneCycleParamScheduler` of the momentum, or the first beta."""


@PARAM_SCHEDULERS.register_module()
class PolyLR(LRSchedulerMixin, PolyParamScheduler):
    """:class:`PolyParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class PolyMomentum(MomentumSchedulerMixin, PolyParamScheduler):
    """:class:`PolyParamScheduler` of the momentum, or the first beta."""


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauLR(LRSchedulerMixin, ReduceOnPlateauParamScheduler):
    """:class:`ReduceOnPlateauParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauMomentum(MomentumSchedulerMixin, ReduceOnPlateauParamScheduler):
    """:class:`ReduceOnPlateauParamScheduler` of the momentum, or the first beta."""


@PARAM_SCHEDULERS.register_module()
class StepLR(LRSchedulerMixin, StepParamScheduler):
    """:class:`StepParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class StepMomentum(MomentumSchedulerMixin, StepParamScheduler):
    """:class:`StepParamScheduler` of the momentum, or the first beta."""
