"""Each curve under its three names: any parameter, learning rate, momentum."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

from engine.errors import ScheduleError
from engine.optim.scheduler.curve import cosine, linear, multi_step
from engine.optim.scheduler.schedule import END, _ParamScheduler, to_iterations
from engine.registry import PARAM_SCHEDULERS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from torch.optim import Optimizer

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
class LinearParamScheduler(_ParamScheduler):
    """Multiplies by a factor that moves linearly, over the steps [begin, end).

    Args:
        optimizer: Whose parameter groups are changed.
        param_name: Key in each parameter group.
        start_factor: Factor at ``begin``, in ``(0, 1]``.
        end_factor: Factor at the last step, ``end - 1``, in ``[0, 1]``.
        begin: First step it acts on, at least 0.
        end: First step it no longer acts on.
        last_step: Steps taken, less 1; -1 for a fresh start.
        by_epoch: Whether a step is an epoch, else an iteration.
        verbose: Whether each value set is logged.

    Raises:
        ScheduleError: An argument is not one of the above.
    """

    def __init__(
        self,
        optimizer: Optimizer | OptimWrapper,
        param_name: str,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        begin: int = 0,
        end: int = END,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            msg = (
                f"{type(self).__name__}: start_factor is {start_factor!r} and "
                f"end_factor {end_factor!r}, but they lie in (0, 1] and [0, 1]: each "
                "value is a multiple of the one before, so 0 cannot be left again."
            )
            raise ScheduleError(msg)
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = end - begin - 1
        super().__init__(
            optimizer, param_name, begin, end, last_step, by_epoch, verbose
        )

    def _get_value(self) -> list[float]:
        return [
            linear(
                self.last_step,
                value,
                steps=self.total_iters,
                start_factor=self.start_factor,
                end_factor=self.end_factor,
            )
            for value in self._current_values()
        ]


@PARAM_SCHEDULERS.register_module()
class LinearLR(LRSchedulerMixin, LinearParamScheduler):
    """:class:`LinearParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class LinearMomentum(MomentumSchedulerMixin, LinearParamScheduler):
    """:class:`LinearParamScheduler` of the momentum, or the first beta."""


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingParamScheduler(_ParamScheduler):
    """Anneals from the initial value along half a cosine.

    Args:
        optimizer: Whose parameter groups are changed.
        param_name: Key in each parameter group.
        T_max: Steps from ``begin`` to the lowest value, above 0; past it the value
            swings back up. ``None``: ``end - begin``.
        eta_min: The lowest value, in the parameter's unit. 0 if this and
            ``eta_min_ratio`` are ``None``.
        begin: First step it acts on, at least 0.
        end: First step it no longer acts on.
        last_step: Steps taken, less 1; -1 for a fresh start.
        by_epoch: Whether a step is an epoch, else an iteration.
        verbose: Whether each value set is logged.
        eta_min_ratio: The lowest value as a share of each group's initial value,
            instead of ``eta_min``.

    Raises:
        ScheduleError: An argument is not one of the above.
    """

    def __init__(
        self,
        optimizer: Optimizer | OptimWrapper,
        param_name: str,
        T_max: int | None = None,
        eta_min: float | None = None,
        begin: int = 0,
        end: int = END,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
        eta_min_ratio: float | None = None,
    ) -> None:
        if eta_min is not None and eta_min_ratio is not None:
            msg = (
                f"{type(self).__name__}: eta_min is {eta_min!r} and eta_min_ratio "
                f"{eta_min_ratio!r}, but they say the same thing. Give one."
            )
            raise ScheduleError(msg)
        if T_max is not None and not T_max > 0:
            msg = (
                f"{type(self).__name__}: T_max is {T_max!r}, but it is a number of "
                "steps above 0. Leave it out for end - begin."
            )
            raise ScheduleError(msg)
        self.T_max = end - begin if T_max is None else T_max
        neither = eta_min is None and eta_min_ratio is None
        self.eta_min = 0.0 if neither else eta_min
        self.eta_min_ratio = eta_min_ratio
        super().__init__(
            optimizer, param_name, begin, end, last_step, by_epoch, verbose
        )

    @classmethod
    def build_iter_from_epoch(
        cls,
        *args: Any,
        T_max: int | None = None,
        begin: int = 0,
        end: int = END,
        by_epoch: bool = True,
        epoch_length: int | None = None,
        **kwargs: Any,
    ) -> Self:
        """As the base's, with ``T_max`` in epochs too."""
        if T_max is not None:
            T_max = to_iterations(T_max, by_epoch, epoch_length)
        return super().build_iter_from_epoch(
            *args,
            T_max=T_max,
            begin=begin,
            end=end,
            by_epoch=by_epoch,
            epoch_length=epoch_length,
            **kwargs,
        )

    def _get_value(self) -> list[float]:
        values = self._current_values()
        return [
            cosine(
                self.last_step, value, steps=self.T_max, start=base, end=self._low(base)
            )
            for value, base in zip(values, self.base_values, strict=True)
        ]

    def _low(self, base: float) -> float:
        return (
            base * (self.eta_min_ratio or 0.0) if self.eta_min is None else self.eta_min
        )


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingLR(LRSchedulerMixin, CosineAnnealingParamScheduler):
    """:class:`CosineAnnealingParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingMomentum(MomentumSchedulerMixin, CosineAnnealingParamScheduler):
    """:class:`CosineAnnealingParamScheduler` of the momentum, or the first beta."""


@PARAM_SCHEDULERS.register_module()
class MultiStepParamScheduler(_ParamScheduler):
    """Multiplies by ``gamma`` at each milestone.

    Args:
        optimizer: Whose parameter groups are changed.
        param_name: Key in each parameter group.
        milestones: Steps counted from ``begin``, ascending; one that is there twice
            counts twice.
        gamma: Factor at each milestone.
        last_step: Steps taken, less 1; -1 for a fresh start.
        begin: First step it acts on, at least 0.
        end: First step it no longer acts on.
        by_epoch: Whether a step is an epoch, else an iteration.
        verbose: Whether each value set is logged.

    Raises:
        ScheduleError: An argument is not one of the above.
    """

    def __init__(
        self,
        optimizer: Optimizer | OptimWrapper,
        param_name: str,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_step: int = -1,
        begin: int = 0,
        end: int = END,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        self.milestones = list(milestones)
        self.gamma = gamma
        if self.milestones != sorted(self.milestones):
            msg = (
                f"{type(self).__name__}: milestones are {self.milestones}, but they "
                f"must ascend. Write {sorted(self.milestones)}."
            )
            raise ScheduleError(msg)
        super().__init__(
            optimizer, param_name, begin, end, last_step, by_epoch, verbose
        )

    @classmethod
    def build_iter_from_epoch(  # type: ignore[override] # no default fits milestones
        cls,
        *args: Any,
        milestones: Iterable[int],
        begin: int = 0,
        end: int = END,
        by_epoch: bool = True,
        epoch_length: int | None = None,
        **kwargs: Any,
    ) -> Self:
        """As the base's, with ``milestones`` in epochs too."""
        return super().build_iter_from_epoch(
            *args,
            milestones=[to_iterations(m, by_epoch, epoch_length) for m in milestones],
            begin=begin,
            end=end,
            by_epoch=by_epoch,
            epoch_length=epoch_length,
            **kwargs,
        )

    def _get_value(self) -> list[float]:
        return [
            multi_step(
                self.last_step, value, milestones=self.milestones, gamma=self.gamma
            )
            for value in self._current_values()
        ]


@PARAM_SCHEDULERS.register_module()
class MultiStepLR(LRSchedulerMixin, MultiStepParamScheduler):
    """:class:`MultiStepParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class MultiStepMomentum(MomentumSchedulerMixin, MultiStepParamScheduler):
    """:class:`MultiStepParamScheduler` of the momentum, or the first beta."""
