"""What becomes of schedules when a resumed run gets another length.

Three answers. ``keep``: they stay as they were saved. ``hold``: they stay so up to the
old end, and then the value stays. ``stretch``: the curve of a new run of the new
length, read at the resumed place. Where all three are the same from here on, nobody is
asked.
"""

from __future__ import annotations

from math import isclose
from typing import Any, Literal, cast, get_args

from torch import Tensor

from engine.errors import ScheduleError, did_you_mean
from engine.optim.scheduler.rehearsal import (
    Place,
    Rehearsal,
    Row,
    by_optimizer,
    first_group,
    goes_by_epoch,
    groups_of,
    inner_of,
    keys_of,
    sample,
    steps_of,
    waits,
    where,
)
from engine.optim.scheduler.schedule import _ParamScheduler
from engine.optim.scheduler.torch_schedule import TorchSchedule

__all__ = ["LengthChange", "OnLonger", "check_on_longer"]

OnLonger = Literal["keep", "stretch", "hold"]

_CHOICES: tuple[OnLonger, ...] = get_args(OnLonger)

_TOLERANCE = 1e-9  # relative: rounding, not another curve

# Of a schedule's state: numbers that follow from its settings, its place, the values.
_VALUES = {"_last_value", "_last_lr", "base_values", "base_lrs"}

# What torch's schedulers write into parameter groups beside betas and momentum.
_TORCHS = {"lr", "initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum"}

# What a plateau remembers of validations.
_MEMORY = ("best", "num_bad_epochs", "cooldown_counter", "last_step")


def check_on_longer(value: Any) -> OnLonger | None:
    """The choice itself, if it is one.

    Raises:
        ScheduleError: It is neither ``None`` nor one of the three.

    >>> check_on_longer("hold")
    'hold'
    """
    if value is None or value in _CHOICES:
        return cast("OnLonger | None", value)
    message = (
        f"on_longer={value!r}: allowed are {', '.join(map(repr, _CHOICES))}."
        f"{did_you_mean(str(value), _CHOICES)}"
    )
    raise ScheduleError(message)


class LengthChange:
    """Another length for a run that is resumed, and what its schedules make of it.

    Everything but :meth:`apply` works on copies.

    Args:
        saved: The run's schedules with their saved state; a list, or lists by
            optimizer.
        fresh: The same schedules as they were made for the new length, copied before
            the saved state was loaded.
        old: Where the run is, with its saved length.
        new: Where the run is, with its new length.
    """

    def __init__(self, saved: Any, fresh: Rehearsal, old: Place, new: Place) -> None:
        self._live = by_optimizer(saved)
        self._fresh = fresh
        self._old = old
        self._new = new

    # -- deciding ----------------------------------------------------------------

    def kept(self) -> Rehearsal:
        """Copies of the schedules as they were saved."""
        return Rehearsal(self._live)

    def held(self) -> Rehearsal:
        """Copies of the saved schedules that stop acting at the old end.

        Raises:
            ScheduleError: One is of a kind that cannot be told to.
        """
        copies = Rehearsal(self._live)
        for some in copies.schedules.values():
            for one in some:
                _hold(one, self._old)
        return copies

    def stretched(self) -> Rehearsal:
        """Copies of the new schedules, at the place that the run has reached.

        Raises:
            ScheduleError: The new curve at that place is not known: it depends on
                metrics of validations of another curve, or the schedules are used ones.
        """
        saved = self._live
        copies = Rehearsal(self._fresh.schedules)
        copies.rewind()
        taken = {n: [steps_of(one) for one in some] for n, some in saved.items()}
        copies.forward(self._new, taken)
        for name, some in copies.schedules.items():
            judged = [one for one in saved[name] if waits(one) and _has_judged(one)]
            if not judged:
                continue
            for made, was in zip(some, saved[name], strict=True):
                if not waits(made) and _settings(made) != _settings(was):
                    message = (
                        f"stretch: {type(made).__name__} has another curve for the new "
                        "length, and how often a plateau would have reduced that one "
                        "nobody knows. Choose 'keep' or 'hold'."
                    )
                    raise ScheduleError(message)
            # At most windows changed: the values are those that the metrics led to.
            _copy_values(saved[name], copies.groups(name), groups_of(saved[name]))
            for made, was in zip(some, saved[name], strict=True):
                _take_memory(made, was)
        return copies

    def rehearse(self, policy: OnLonger) -> Rehearsal:
        """Copies of the schedules as a policy makes them, at the resumed place."""
        ways = {"keep": self.kept, "hold": self.held, "stretch": self.stretched}
        return ways[policy]()

    def conflict(self) -> tuple[str, dict[str, str]] | None:
        """Where the policies first part, and what each gives there; ``None``: nowhere.

        A policy that is impossible parts from one that is not.
        """
        copies: dict[str, Rehearsal] = {}
        impossible: dict[str, str] = {}
        for policy in _CHOICES:
            try:
                copies[policy] = self.rehearse(policy)
            except ScheduleError as error:
                impossible[policy] = f"impossible: {error}"
        windows = [_windows(one, self._new) for one in copies.values()]
        parted = _part(copies, self._new)
        if parted is None and any(window != windows[0] for window in windows):
            parted = "the old end", {policy: _WINDOW[policy] for policy in copies}
        return None if parted is None else (parted[0], parted[1] | impossible)

    def require_choice(self, policy: OnLonger | None) -> OnLonger | None:
        """The policy given; ``None`` if none is needed: all are the same.

        Raises:
            ScheduleError: None is given, and they differ.
        """
        if policy is not None:
            return policy
        found = self.conflict()
        if found is None:
            return None
        place, shown = found
        lines = "\n".join(
            f"  {name:<8} {_MEANING[name]}. There: {shown[name]}" for name in _CHOICES
        )
        message = (
            f"the run that is resumed had {_length(self._old)} and now has "
            f"{_length(self._new)}; what its schedules are to do is not clear. From "
            f"{place} on it matters:\n{lines}\n"
            "Give one of them: on_longer='...' in train_cfg (on the command line "
            "--set train_cfg.on_longer=...), or as an argument of resume()."
        )
        raise ScheduleError(message)

    # -- acting ------------------------------------------------------------------

    def apply(self, policy: OnLonger) -> list[Row]:
        """Make the run's schedules, and the values they set, as the policy says.

        Returns:
            Rows for :func:`tabulate`: the curve from here on.

        Raises:
            ScheduleError: It is impossible; nothing was changed.
        """
        made = self.rehearse(policy)
        try:
            rows = sample(Rehearsal(made.schedules), self._new, marks=[self._old.end()])
        except ValueError as error:  # also torch's word for a cycle that is over
            message = f"on_longer={policy!r} is not possible: {error}"
            raise ScheduleError(message) from error
        if policy == "keep":
            return rows
        for name, some in made.schedules.items():
            live = self._live[name]
            for one, to in zip(some, live, strict=True):
                to.load_state_dict(one.state_dict())
            if policy == "stretch":
                _copy_values(some, groups_of(live), made.groups(name))
        return rows


_MEANING = {
    "keep": "they stay as they were saved, also past their old end",
    "hold": "they stay as they were saved; from the old end on the value stays",
    "stretch": "they are as the config makes them for the new length",
}


_WINDOW = {
    "keep": "a plateau counts the validations that it was to count",
    "hold": "a plateau counts none after the old end",
    "stretch": "a plateau counts those of the new length",
}


def _part(
    copies: dict[str, Rehearsal], place: Place
) -> tuple[str, dict[str, str]] | None:
    """Where copies that walk side by side first have different values."""
    at = place.epochs, place.iterations
    walks = {policy: one.walk(place) for policy, one in copies.items()}
    while True:
        shown: dict[str, str] = {}
        found: list[Any] = []
        for policy, walk in walks.items():
            try:
                here = next(walk, None)
            except ValueError as error:  # also torch's word for a cycle that is over
                shown[policy] = f"impossible: {error}"
                continue
            if here is not None:
                at = here
                found.append(copies[policy].values())
                shown[policy] = _shown(found[-1])
        if not found and not shown:
            return None
        if len(found) < len(walks) or not all(_same(found[0], one) for one in found):
            fine = any(one.is_fine(place) for one in copies.values())
            name = where(place, at, fine=fine)
            return name, dict.fromkeys(walks, "the end") | shown


def _hold(schedule: Any, old: Place) -> None:
    left = old.left(by_epoch=goes_by_epoch(schedule))
    if left is None:
        return  # of a run whose length in iterations nobody knew, nothing ends there
    if isinstance(schedule, _ParamScheduler):
        last = (steps_of(schedule) or 0) + left
        schedule.end = min(schedule.end, last + 1)
    elif isinstance(schedule, TorchSchedule):
        schedule.hold(left)
    else:
        message = (
            f"hold: {type(schedule).__name__} cannot be told to stop. Give it as "
            "TorchSchedule(schedule), or choose 'keep' or 'stretch'."
        )
        raise ScheduleError(message)


def _has_judged(plateau: Any) -> bool:
    if isinstance(plateau, _ParamScheduler):
        return plateau.last_step > -1
    return bool(getattr(inner_of(plateau), "last_epoch", 0))


def _settings(schedule: Any) -> Any:
    """State without the values that the schedule left."""
    return _without_values(schedule.state_dict())


def _without_values(state: Any) -> Any:
    if isinstance(state, dict):
        kept = {k: v for k, v in state.items() if k not in _VALUES}
        return {k: _without_values(v) for k, v in kept.items()}
    if isinstance(state, list | tuple):
        return [_without_values(one) for one in state]
    return state


def _take_memory(made: Any, was: Any) -> None:
    state = was.state_dict()
    if waits(made) and isinstance(made, _ParamScheduler):
        memory = {key: state[key] for key in _MEMORY}
        state = {**made.state_dict(), **memory}
    made.load_state_dict(state)


def _copy_values(
    schedules: list[Any], to: list[dict[str, Any]], source: list[dict[str, Any]]
) -> None:
    """Set what these schedules set in parameter groups as it is in other groups."""
    keys: set[str] = set()
    for one in schedules:
        if isinstance(one, _ParamScheduler):
            keys |= {one.param_name, f"initial_{one.param_name}"}
            keys |= {"betas"} if one.use_betas else set()
        else:
            keys |= _TORCHS
            keys |= {"momentum", "betas"} if "lr" not in keys_of(one)[-1] else set()
    for group, other in zip(to, source, strict=True):
        for key in keys & group.keys() & other.keys():
            if isinstance(group[key], Tensor):
                group[key].fill_(other[key])
            elif key == "betas":
                group[key] = (other[key][0], *group[key][1:])
            else:
                group[key] = other[key]
        for key in (keys - group.keys()) & other.keys():
            group[key] = other[key]


def _windows(one: Rehearsal, place: Place) -> list[tuple[int, int]]:
    """From which step on, and up to which, each plateau counts validations."""
    found = []
    for schedule in (s for some in one.schedules.values() for s in some):
        left = place.left(by_epoch=goes_by_epoch(schedule))
        if not waits(schedule) or left is None:
            continue
        if isinstance(schedule, _ParamScheduler):
            last = (steps_of(schedule) or 0) + left
            found.append((min(schedule.begin, last), min(schedule.end, last)))
        else:
            rest = getattr(schedule, "steps_left", None)
            found.append((0, left if rest is None else min(rest, left)))
    return found


def _same(one: Any, other: Any) -> bool:
    """Whether two sets of values are the same but for rounding."""
    if isinstance(one, dict):
        return all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return all(_same(a, b) for a, b in zip(one, other, strict=True))
    return isclose(float(one), float(other), rel_tol=_TOLERANCE, abs_tol=1e-300)


def _shown(values: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in first_group(values).items())


def _length(place: Place) -> str:
    if place.max_iters is not None:
        return f"max_iters={place.max_iters}"
    return f"max_epochs={place.max_epochs}"
