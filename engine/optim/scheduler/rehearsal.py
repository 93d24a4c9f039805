"""Schedules stepped on copies of their optimizers' numbers: curves without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from attrs import frozen

from engine.errors import ScheduleError
from engine.optim.scheduler.schedule import _ParamScheduler
from engine.optim.scheduler.torch_schedule import TorchSchedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Place", "Rehearsal", "by_optimizer", "sample", "tabulate"]

Series = tuple[str, str]
"""An optimizer's name (empty for a single one) and the key in its groups."""

Values = dict[Series, list[Any]]
"""The value of each parameter group, by series."""


@frozen(kw_only=True)
class Place:
    """A place in a run, and how long the run is.

    Args:
        epochs: Epochs done.
        iterations: Iterations done.
        epoch_iteration: Those done in the running epoch.
        epoch_length: Iterations in an epoch; ``None`` if that is not known.
        max_epochs: The run's length; ``None`` in one bounded by iterations.
        max_iters: Likewise; ``None`` in one bounded by epochs.
    """

    epochs: int = 0
    iterations: int = 0
    epoch_iteration: int = 0
    epoch_length: int | None = None
    max_epochs: int | None = None
    max_iters: int | None = None

    def left(self, *, by_epoch: bool) -> int | None:
        """Epochs or iterations until the end; ``None`` if that is not known.

        A run bounded by iterations is one epoch, as it is for its loop.
        """
        if by_epoch:
            return max((self.max_epochs or 1) - self.epochs, 0)
        if self.max_iters is not None:
            return max(self.max_iters - self.iterations, 0)
        if self.epoch_length is None:
            return None
        whole = ((self.max_epochs or 0) - self.epochs) * self.epoch_length
        return max(whole - self.epoch_iteration, 0)

    def end(self) -> tuple[int, int]:
        """Epochs and iterations at the run's end, as far as they are known."""
        left = self.left(by_epoch=False)
        return self.max_epochs or 1, self.iterations + (left or 0)


def by_optimizer(schedules: Any) -> dict[str, list[Any]]:
    """Schedules by their optimizer's name; those of a single one under ``""``."""
    if isinstance(schedules, Mapping):
        return {name: list(some) for name, some in schedules.items()}
    return {"": list(schedules or ())}


class Rehearsal:
    """Copies of schedules that step without a model, in a run's order.

    The copies act on copies of the parameter groups' numbers: what is rehearsed changes
    nothing.

    Args:
        schedules: A list, or lists by optimizer's name. Each has its ``optimizer``.
        optimizers: Further ones by name, whose numbers are copied in any case.

    Raises:
        ScheduleError: One does not tell what it acts on.
    """

    def __init__(
        self, schedules: Any, optimizers: Mapping[str, Any] | None = None
    ) -> None:
        self.schedules: dict[str, list[Any]] = {}
        self._groups: dict[str, list[dict[str, Any]]] = {}
        more = optimizers or {}
        for name, some in {
            **{name: [] for name in more},
            **by_optimizer(schedules),
        }.items():
            memo: dict[int, Any] = {}
            acted_on = [_optimizer(one) for one in some]
            acted_on += [more[name]] if name in more else []
            self._groups[name] = _stand_ins(acted_on, memo)
            self.schedules[name] = [deepcopy(one, memo) for one in some]
        self._every = [one for some in self.schedules.values() for one in some]
        for one in self._every:
            if isinstance(one, _ParamScheduler):
                one.verbose = False
        self._by_epoch = [one for one in self._every if goes_by_epoch(one)]
        self._by_iteration = [one for one in self._every if not goes_by_epoch(one)]

    def values(self) -> Values:
        """Each group's value of everything that is scheduled."""
        return {
            (name, key): [group[key] for group in self._groups[name]]
            for name, some in self.schedules.items()
            for key in dict.fromkeys(key for one in some for key in keys_of(one))
        }

    def groups(self, name: str) -> list[dict[str, Any]]:
        """The numbers of an optimizer's groups as they are now."""
        return self._groups[name]

    def step(self, *, by_epoch: bool) -> None:
        """Take a step with the schedules that go by epoch, or with the others."""
        for one in self._by_epoch if by_epoch else self._by_iteration:
            one.step()

    def rewind(self) -> None:
        """Go back to the first step.

        Raises:
            ScheduleError: A schedule is torch's, which has no way back, and has
                stepped.
        """
        for name, some in self.schedules.items():
            if not any(steps_of(one) for one in some):
                continue
            for one in some:
                if not isinstance(one, _ParamScheduler):
                    message = (
                        f"{_kind(one)} stands among schedules that have stepped, and "
                        "torch's schedulers cannot be put back to the first step: make "
                        "the schedules anew before resume()"
                    )
                    raise ScheduleError(message)
            for group in self._groups[name]:
                for key in {one.param_name for one in some}:
                    group[key] = group[f"initial_{key}"]
                    if key == "momentum" and "betas" in group:
                        group["betas"] = (group[key], *group["betas"][1:])
            for one in some:
                one.last_step = one._global_step = -1  # noqa: SLF001  # as at birth
                one.step()

    def forward(self, to: Place, taken: Mapping[str, Sequence[int | None]]) -> None:
        """From the first step to a place, in the order in which a run steps.

        Args:
            to: The place.
            taken: Steps that each schedule took, by optimizer: a run whose epochs were
                cut has other numbers than its counters tell. ``None``: not known.
        """
        turns: tuple[list[Any], list[Any]] = ([], [])  # by iteration, by epoch
        for name, some in self.schedules.items():
            for one, steps in zip(some, taken[name], strict=True):
                rule = to.epochs if goes_by_epoch(one) else to.iterations
                turns[goes_by_epoch(one)].append(
                    [one, rule if steps is None else steps]
                )

        def step(which: list[Any]) -> bool:
            """Let those step that have steps to take; whether there was one."""
            any_left = False
            for turn in which:
                if turn[1] > 0:
                    turn[1] -= 1
                    turn[0].step()
                    any_left = True
            return any_left

        length = to.epoch_length if to.max_iters is None else None
        for iteration in range(1, to.iterations + 1 if turns[0] else 1):
            step(turns[0])
            if length and iteration % length == 0:
                step(turns[1])
        while step(turns[0]) | step(turns[1]):  # both, until none is left
            continue

    def walk(self, place: Place) -> Iterator[tuple[int, int]]:
        """Go on from a place to the end; yields where values are used.

        Those are iterations if any schedule steps with those or the run is bounded by
        them, else epochs. The first one is the given one.

        Yields:
            Epochs and iterations done.
        """
        epoch, iteration, inside = place.epochs, place.iterations, place.epoch_iteration
        length = place.epoch_length if place.max_iters is None else None
        if place.max_iters is None and length is None:
            # Nobody knows. What is derived from a run's length needs it known too, so
            # any other number serves to compare with.
            length = inside + 1
        if length and inside >= length:  # only the end of the epoch is missing
            self.step(by_epoch=True)
            epoch, inside = epoch + 1, 0
        if not self.is_fine(place):
            for passed in range(epoch, place.max_epochs or 0):
                yield passed, iteration
                self.step(by_epoch=True)
                iteration += (length or 0) - inside
                inside = 0
            return
        limit = place.max_iters
        while epoch < (place.max_epochs or 0) if limit is None else iteration < limit:
            yield epoch, iteration
            for one in self._by_iteration:
                one.step()
            iteration += 1
            inside += 1
            if inside == length:
                for one in self._by_epoch:
                    one.step()
                epoch, inside = epoch + 1, 0

    def is_fine(self, place: Place) -> bool:
        """Whether a walk goes by iterations, not by epochs."""
        return bool(self._by_iteration) or place.max_iters is not None


def goes_by_epoch(schedule: Any) -> bool:
    """As ``ParamSchedulerHook`` asks."""
    return bool(getattr(schedule, "by_epoch", True))


def inner_of(schedule: Any) -> Any:
    """What a ``TorchSchedule`` steps; another schedule itself."""
    return schedule.schedule if isinstance(schedule, TorchSchedule) else schedule


def groups_of(schedules: Sequence[Any]) -> list[dict[str, Any]]:
    """The parameter groups that schedules of one optimizer act on."""
    views = [list(_optimizer(one).param_groups) for one in schedules]
    return max(views, key=len, default=[])


def first_group(values: Values) -> dict[str, str]:
    """The first parameter group's values as texts, under names for people."""
    shown = {}
    for (optimizer, key), groups in values.items():
        value = groups[0][0] if key == "betas" else groups[0]
        name = "momentum" if key == "betas" else key
        shown[f"{optimizer}.{name}" if optimizer else name] = f"{float(value):.6g}"
    return shown


def where(place: Place, at: tuple[int, int], *, fine: bool) -> str:
    """A place as people write it: ``epoch 3``, ``iteration 120 (epoch 3)``.

    Args:
        place: Any place of the run.
        at: Epochs and iterations done.
        fine: Whether the iteration is of interest.
    """
    epoch, iteration = at
    if place.max_iters is not None:
        return f"iteration {iteration}"
    if not fine or place.epoch_length is None:
        return f"epoch {epoch}"
    return f"iteration {iteration} (epoch {epoch})"


Row = tuple[str, Values]
"""What a place is called, and the values there."""


def sample(
    one: Rehearsal,
    place: Place,
    *,
    marks: Iterable[tuple[int, int]] = (),
    count: int = 7,
) -> list[Row]:
    """Walk to the end and note values at some places: evenly spread, and marked ones.

    Args:
        one: Is at the end afterwards.
        place: Where it is.
        marks: Places to note, as epochs and iterations, and each one before it; those
            not ahead are left out.
        count: Spread places, the first and last included.
    """
    fine = one.is_fine(place)
    begin = place.iterations if fine else place.epochs
    left = place.left(by_epoch=not fine)
    wanted = {mark[fine] for mark in marks}  # the iteration comes second
    wanted |= {mark - 1 for mark in wanted}
    if left:
        steps = max(count - 1, 1)
        wanted |= {begin + (left - 1) * i // steps for i in range(steps + 1)}
    return [
        (where(place, at, fine=fine), one.values())
        for at in one.walk(place)
        if at[fine] in wanted
    ]


def tabulate(rows: Sequence[Row]) -> str:
    """Values at named places, as a small table, of the first parameter groups."""
    head = list(first_group(rows[0][1])) if rows else []
    cells = [["", *head]]
    cells += [[name, *first_group(values).values()] for name, values in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def waits(schedule: Any) -> bool:
    """Whether a schedule looks at the metrics of validations."""
    return bool(getattr(schedule, "need_val_args", False))


def steps_of(schedule: Any) -> int | None:
    """Steps that a schedule took; ``None`` if it does not tell."""
    if isinstance(schedule, _ParamScheduler):
        return schedule._global_step  # noqa: SLF001  # a neighbour of the same package
    inner = inner_of(schedule)
    if waits(schedule):
        return 0  # torch's plateau has no step but a validation
    if hasattr(inner, "_schedulers") and not hasattr(inner, "last_epoch"):
        inner = inner._schedulers[0]  # noqa: SLF001  # ChainedScheduler counts nowhere else
    steps = getattr(inner, "last_epoch", None)
    return steps if isinstance(steps, int) else None


def keys_of(schedule: Any) -> list[str]:
    """Keys of the parameter groups that a schedule sets, as a person reads them."""
    if isinstance(schedule, _ParamScheduler):
        return [schedule.param_name]
    inner = inner_of(schedule)
    cycles = getattr(inner, "cycle_momentum", False)
    groups = _optimizer(schedule).param_groups
    if cycles and all("momentum" in group for group in groups):
        return ["lr", "momentum"]
    return ["lr", "betas"] if cycles else ["lr"]


def _kind(schedule: Any) -> str:
    return type(inner_of(schedule)).__name__


def _optimizer(schedule: Any) -> Any:
    optimizer = getattr(inner_of(schedule), "optimizer", None)
    if not isinstance(getattr(optimizer, "param_groups", None), Sequence):
        message = (
            f"{_kind(schedule)} has no optimizer with param_groups: what it does to a "
            "run of another length cannot be told"
        )
        raise ScheduleError(message)
    return optimizer


class _StandIn:
    """An optimizer's numbers without its parameters."""

    def __init__(self, groups: list[dict[str, Any]], defaults: dict[str, Any]) -> None:
        self.param_groups = groups
        self.defaults = defaults
        self._opt_called = True  # torch's schedulers warn otherwise

    def step(self) -> None:
        """Do nothing: torch's schedulers look for it."""

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]  # noqa: SLF001  # torch's mark


def _stand_ins(optimizers: list[Any], memo: dict[int, Any]) -> list[dict[str, Any]]:
    """Enter what stands for each optimizer; returns the groups of the largest view.

    An optimizer and its wrapper share their groups, and so do what stands for them.
    """
    copies: dict[int, dict[str, Any]] = {}

    def numbers(group: dict[str, Any]) -> dict[str, Any]:
        if id(group) not in copies:
            kept = {key: value for key, value in group.items() if key != "params"}
            copies[id(group)] = {"params": [], **deepcopy(kept)}
        return copies[id(group)]

    largest: list[dict[str, Any]] = []
    for optimizer in optimizers:
        if id(optimizer) in memo:
            continue
        groups = [numbers(group) for group in optimizer.param_groups]
        memo[id(optimizer)] = _StandIn(groups, dict(optimizer.defaults))
        largest = groups if len(groups) > len(largest) else largest
    return largest
