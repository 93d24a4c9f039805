"""What applies a curve to the parameter groups of an optimizer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from copy import deepcopy
from math import isnan
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

import structlog
from torch.optim import Optimizer

from engine.errors import ScheduleError, a_type, did_you_mean
from engine.optim.base_wrapper import BaseOptimWrapper
from engine.optim.multi import OptimWrapperDict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

__all__ = [
    "END",
    "_ParamScheduler",
    "check_numbers",
    "check_optimizer",
    "check_steps",
    "steps_between",
    "to_iterations",
]

END = 1_000_000_000
"""The ``end`` of a schedule that has none."""

_TWO_PHASES = 2  # of a cycle without three_phase

log = structlog.get_logger()


class _ParamScheduler(ABC):
    """Moves one parameter of each parameter group along a curve, step by step.

    A curve is a subclass with ``_get_value``. The object's own attributes are its
    state, so a subclass sets its settings *before* it calls ``super().__init__``,
    which takes step 0.

    Args:
        optimizer: Whose parameter groups are changed. Each keeps the value it had at
            first under ``initial_{param_name}``, also for schedules made later.
        param_name: Key in each parameter group, as ``"lr"``. ``"momentum"`` means the
            first beta in an optimizer that has betas.
        begin: First step of the run, at least 0, that this schedule acts on.
        end: First step after ``begin`` that it no longer acts on.
        last_step: Steps taken on the curve, less 1. Other than -1 it goes on with a
            run without :meth:`load_state_dict`: the groups then need the initial
            value, and ``begin`` and ``end`` are counted from here on.
        by_epoch: Whether a step is an epoch; else an iteration. The caller of
            :meth:`step` reads it.
        verbose: Whether each value set is logged.

    Raises:
        ScheduleError: An argument is not one of the above.
    """

    _NOT_STATE: ClassVar[frozenset[str]] = frozenset({"optimizer", "verbose"})
    _VERSION: ClassVar[int] = 1

    def __init__(
        self,
        optimizer: Optimizer | BaseOptimWrapper,
        param_name: str,
        begin: int = 0,
        end: int = END,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        where = type(self).__name__
        check_optimizer(where, optimizer)
        check_steps(where, begin=begin, end=end)
        if not 0 <= begin < end:
            msg = (
                f"{where}: begin is {begin!r} and end {end!r}, but a schedule acts "
                "over [begin, end): begin is at least 0 and end above it."
            )
            raise ScheduleError(msg)
        self.optimizer = optimizer
        self.param_name = param_name
        self.begin = begin
        self.end = end
        self.by_epoch = by_epoch
        self.verbose = verbose
        self.last_step = last_step
        self.use_betas = param_name == "momentum" and "betas" in optimizer.defaults
        self.base_values = self._initial_values(resumed=last_step != -1)
        self._global_step = -1
        self._last_value: list[float] = []
        self.step()

    @classmethod
    def build_iter_from_epoch(
        cls,
        *args: Any,
        begin: int = 0,
        end: int = END,
        by_epoch: bool = True,
        epoch_length: int | None = None,
        **kwargs: Any,
    ) -> Self:
        """Make a schedule that is given in epochs, but steps each iteration.

        Args:
            args: Positional arguments of the class, the optimizer first.
            begin: In epochs.
            end: In epochs; the default stays "no end".
            by_epoch: ``True``: the numbers given are epochs.
            epoch_length: Iterations in an epoch, at least 1.
            kwargs: Other arguments of the class.

        Raises:
            ScheduleError: ``by_epoch`` is false or ``epoch_length`` no length.
        """
        kwargs["begin"] = to_iterations(begin, by_epoch, epoch_length)
        kwargs["end"] = (
            END if end == END else to_iterations(end, by_epoch, epoch_length)
        )
        kwargs["by_epoch"] = False
        return cls(*args, **kwargs)

    @abstractmethod
    def _get_value(self) -> list[float]:
        """Each group's value at ``last_step``; only called inside [begin, end)."""

    def step(self) -> None:
        """Go on by one epoch or iteration and set the values that hold from there.

        Raises:
            ScheduleError: A parameter group was added since the schedule was made.
        """
        self._check_groups()
        self._global_step += 1
        if not self.begin <= self._global_step < self.end:
            self._last_value = self._current_values()
            return
        self.last_step += 1
        self._apply(self._get_value())
        self._last_value = self._current_values()

    def _check_groups(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_values):
            msg = (
                f"{type(self).__name__}: the optimizer has {len(groups)} parameter "
                f"groups, but had {len(self.base_values)} when the schedule was made. "
                "Add groups first, then make the schedule."
            )
            raise ScheduleError(msg)
        if self.use_betas:
            # The betas are the truth. The copy is for schedules written for MMEngine,
            # which read group[param_name]; loading an optimizer's state may drop it.
            for group in groups:
                group["momentum"] = group["betas"][0]

    def _apply(self, values: list[float]) -> None:
        """Set each group's value."""
        for group, value in zip(self.optimizer.param_groups, values, strict=True):
            group[self.param_name] = value
            if self.use_betas:
                group["betas"] = (value, *group["betas"][1:])
        if self.verbose:
            for index, value in enumerate(values):
                self.print_value(self.verbose, index, value)

    def get_last_value(self) -> list[float]:
        """Each parameter group's value as the last :meth:`step` left it."""
        return self._last_value

    def print_value(self, is_verbose: bool, group: int, value: float) -> None:
        """Log the value that a parameter group was given, if asked to.

        Args:
            is_verbose: Whether to log at all.
            group: Index of the parameter group.
            value: Its new value.
        """
        if is_verbose:
            log.info("schedule_value", param=self.param_name, group=group, value=value)

    def state_dict(self) -> dict[str, Any]:
        """Settings and place on the curve as plain data; no optimizer, no values in it.

        The values that other schedules go on from lie in the optimizer's own state.
        """
        return {"version": self._VERSION, **deepcopy(self._state())}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over saved settings and the place on the curve.

        The optimizer is not touched: load its state beside this. The settings are
        the saved ones afterwards, as with torch's and MMEngine's schedulers.

        Args:
            state_dict: What :meth:`state_dict` gave, or MMEngine's. It is not changed.

        Raises:
            ScheduleError: It is of another kind of schedule, of another parameter, of
                another version or of another number of groups; nothing was changed.
        """
        where = type(self).__name__
        state = dict(state_dict)
        if "version" not in state:
            state = _from_mmengine(state, self._state())
        version = state.pop("version", self._VERSION)
        if version != self._VERSION:
            msg = (
                f"{where}: the saved schedule has format {version!r}, but this version "
                f"of the engine reads {self._VERSION}. Use the one that saved it."
            )
            raise ScheduleError(msg)
        mine = self._state()
        if state.keys() != mine.keys():
            msg = (
                f"{where}: the saved schedule lacks {sorted(mine.keys() - state)} and "
                f"has {sorted(state.keys() - mine)} beside. Load it into a schedule of "
                "the class that saved it."
            )
            raise ScheduleError(msg)
        for name, found, wanted in (
            ("param_name", state["param_name"], self.param_name),
            ("parameter groups", len(state["base_values"]), len(self.base_values)),
        ):
            if found != wanted:
                msg = (
                    f"{where}: the saved schedule has {name} {found!r}, this one "
                    f"{wanted!r}. Load it into a schedule like the one that saved it."
                )
                raise ScheduleError(msg)
        vars(self).update(deepcopy(state))

    def _state(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k not in self._NOT_STATE}

    def _current_values(self) -> list[float]:
        return [group[self.param_name] for group in self.optimizer.param_groups]

    def _initial_values(self, *, resumed: bool) -> list[float]:
        """Read, and on a fresh start first keep, each group's initial value."""
        where = type(self).__name__
        key = f"initial_{self.param_name}"
        source = "betas" if self.use_betas else self.param_name
        for index, group in enumerate(self.optimizer.param_groups):
            if source not in group:
                hint = did_you_mean(
                    self.param_name, [k for k in group if k != "params"]
                )
                msg = (
                    f"{where}: param_groups[{index}] of {_name(self.optimizer)} has no "
                    f"{self.param_name!r} to schedule.{hint}"
                )
                raise ScheduleError(msg)
            value = group["betas"][0] if self.use_betas else group[self.param_name]
            if not isinstance(value, Real):
                msg = (
                    f"{where}: param_groups[{index}][{source!r}] is "
                    f"{a_type(value)}, but schedules work on Python numbers. "
                    "Give the optimizer a float."
                )
                raise ScheduleError(msg)
            if not resumed:
                group.setdefault(key, value)
            elif key not in group:
                msg = (
                    f"{where}: last_step is {self.last_step}, but param_groups[{index}]"
                    f" has no {key!r} to go on from. Load the optimizer's state first, "
                    "or leave last_step at -1."
                )
                raise ScheduleError(msg)
        return [group[key] for group in self.optimizer.param_groups]


def check_optimizer(where: str, optimizer: Any) -> None:
    """Raise ScheduleError unless a schedule can act on it."""
    if not isinstance(optimizer, Optimizer | BaseOptimWrapper):
        msg = (
            f"{where}: optimizer is {a_type(optimizer)}, neither a "
            "torch.optim.Optimizer nor an OptimWrapper. Build it first."
        )
        raise ScheduleError(msg)
    if isinstance(optimizer, OptimWrapperDict):
        names = ", ".join(map(repr, optimizer))
        msg = (
            f"{where}: optimizer is several, {names}: make a schedule for each, "
            f"as of optim_wrapper[{next(iter(optimizer))!r}]."
        )
        raise ScheduleError(msg)


def check_numbers(where: str, **values: Any) -> None:
    """Raise ScheduleError for a setting that is no number: told now, not mid-run.

    >>> check_numbers("StepLR", gamma=0.5)
    >>> check_numbers("StepLR", gamma="a half")
    Traceback (most recent call last):
    engine.errors.ScheduleError: StepLR: gamma is 'a half', but it is a number.
    """
    for name, value in values.items():
        if not isinstance(value, Real) or isinstance(value, bool) or isnan(value):
            msg = f"{where}: {name} is {value!r}, but it is a number."
            raise ScheduleError(msg)


def check_steps(where: str, **values: Any) -> None:
    """Raise ScheduleError for a setting that no count of steps can equal.

    A float will do if it is whole, as that of ``0.5 * max_epochs``.
    """
    check_numbers(where, **values)
    for name, value in values.items():
        if value != value // 1:
            msg = f"{where}: {name} is {value!r}, but it is a whole number of steps."
            raise ScheduleError(msg)


def steps_between(where: str, begin: int, end: int) -> int:
    """How many steps a schedule acts on, or ScheduleError."""
    check_steps(where, begin=begin, end=end)
    return end - begin


def to_iterations(epochs: int, by_epoch: bool, epoch_length: int | None) -> int:
    """Turn a number of epochs into one of iterations.

    Args:
        epochs: What to turn.
        by_epoch: The schedule's setting: must be true, for else it is no number of
            epochs.
        epoch_length: Iterations in an epoch, at least 1.

    Raises:
        ScheduleError: ``by_epoch`` is false or ``epoch_length`` no length.

    >>> to_iterations(3, by_epoch=True, epoch_length=100)
    300
    """
    if not by_epoch:
        msg = (
            "build_iter_from_epoch: by_epoch is False, so the numbers given are "
            "iterations already. Make the schedule itself instead."
        )
        raise ScheduleError(msg)
    if not isinstance(epoch_length, int) or epoch_length < 1:
        msg = (
            f"build_iter_from_epoch: epoch_length is {epoch_length!r}, but it is the "
            "number of iterations in an epoch: an int of at least 1."
        )
        raise ScheduleError(msg)
    return epochs * epoch_length


def _name(optimizer: Optimizer | BaseOptimWrapper) -> str:
    inner = (
        optimizer.optimizer if isinstance(optimizer, BaseOptimWrapper) else optimizer
    )
    return type(inner).__name__


def _from_mmengine(state: dict[str, Any], mine: dict[str, Any]) -> dict[str, Any]:
    """Turn the state of MMEngine's scheduler of the same name into ours.

    Its names are ours, but for a few that say what our settings say. It counts
    milestones in a Counter, and schedules one group more than the optimizer has (for
    the log's ``base_lr``) where there are several.
    """
    state = {"use_betas": False, "base_values": mine["base_values"], **state}
    groups = len(mine["base_values"])
    for key in ("verbose", "rule_worse"):
        state.pop(key, None)
    for key in ("base_values", "_last_value", "min_values"):
        if key in state:
            state[key] = list(state[key])[:groups]
    if isinstance(state.get("milestones"), dict):
        state["milestones"] = sorted(Counter(state["milestones"]).elements())
    if "_schedule_phases" in state:  # one cycle
        phases = state.pop("_schedule_phases")
        kind = getattr(state.pop("anneal_func"), "__name__", "")
        state["anneal_strategy"] = "linear" if kind.endswith("linear") else "cos"
        state["three_phase"] = len(phases) > _TWO_PHASES
        state["pct_start"] = (phases[0]["end_step"] + 1) / state["total_steps"]
    return state
