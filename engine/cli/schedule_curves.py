"""The curves that a run's schedules give, and where they bend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from engine.errors import amount
from engine.optim.scheduler import Place, Rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Curve", "Curves", "follow"]

_POINTS = 2000  # of a drawn curve, beside those where something happens

_INNER = ("milestones", "cumulative_periods", "T_max", "total_steps", "total_iters")


@define
class Curve:
    """One value of an optimizer over the run.

    Args:
        optimizer: Its name; empty for a single one.
        name: ``lr``, ``momentum`` or another key of the parameter groups.
        groups: Parameter groups that are drawn.
        values: At each of the places, one value a parameter group.
    """

    optimizer: str
    name: str
    groups: int
    values: list[list[float]] = field(factory=list)

    def bends(self, words: list[str]) -> bool:
        """Whether what happens at a place is about this curve's optimizer."""
        return any(word.startswith(f"{self.optimizer}.") for word in words) or (
            not self.optimizer
        )

    @property
    def title(self) -> str:
        """What a person calls it."""
        return f"{self.optimizer}.{self.name}" if self.optimizer else self.name


@define
class Curves:
    """All curves of a run.

    Args:
        length: How long the run is, in words.
        unit: What places count: ``epoch`` or ``iteration``.
        epoch_length: Iterations in an epoch, if places count those and it is known.
        places: Where values were noted.
        curves: The curves.
        marks: What happens at places, in words; sorted.
        rows: Key points: their name, and each curve's value of the first group.
        remarks: What the curves leave out.
    """

    length: str
    unit: str
    epoch_length: int | None
    places: list[int] = field(factory=list)
    curves: list[Curve] = field(factory=list)
    marks: dict[int, list[str]] = field(factory=dict)
    rows: list[tuple[str, dict[tuple[str, str], list[Any]]]] = field(factory=list)
    remarks: list[str] = field(factory=list)


def follow(rehearsal: Rehearsal, place: Place, counts: Mapping[str, int]) -> Curves:
    """Walk through a run and note its values.

    Args:
        rehearsal: Its schedules at their first step; they are at the end afterwards.
        place: The run's beginning, with its length.
        counts: Parameter groups of each optimizer. A wrapper has one more, without
            parameters.
    """
    fine = rehearsal.is_fine(place)
    total = place.left(by_epoch=not fine) or 0
    found = Curves(
        length=_length(place),
        unit="iteration" if fine else "epoch",
        epoch_length=place.epoch_length if fine else None,
        curves=list(_curves(rehearsal, counts)),
        marks=_marks(rehearsal, place, total),
    )
    wanted = {i * total // _POINTS for i in range(_POINTS)} | {total - 1}
    wanted |= found.marks.keys() | {mark - 1 for mark in found.marks}
    kept, extremes = _note(rehearsal, place, found.curves, wanted)
    for curve, (highest, lowest) in zip(found.curves, extremes, strict=True):
        if highest.value != lowest.value:
            for word, one in (("highest", highest), ("lowest", lowest)):
                found.marks.setdefault(one.tick, []).append(f"{curve.title} {word}")
                kept[one.tick] = one.all_values
    found.places = sorted(kept)
    for index, curve in enumerate(found.curves):
        curve.values = [kept[tick][index] for tick in found.places]
    found.marks = dict(sorted(found.marks.items()))
    found.rows = [
        (
            _name(found, tick, words),
            {
                (curve.optimizer, curve.name): kept[tick][index]
                for index, curve in enumerate(found.curves)
            },
        )
        for tick, words in found.marks.items()
    ]
    found.remarks = list(_remarks(rehearsal, counts))
    return found


@frozen
class _Extreme:
    value: float
    tick: int
    all_values: list[list[float]]


def _note(
    rehearsal: Rehearsal, place: Place, curves: list[Curve], wanted: set[int]
) -> tuple[dict[int, list[list[float]]], list[tuple[_Extreme, _Extreme]]]:
    """Every curve's values at the places wanted, and each one's highest and lowest."""
    kept: dict[int, list[list[float]]] = {}
    extremes: list[tuple[_Extreme, _Extreme]] = []
    for at in rehearsal.walk(place):
        tick = at[rehearsal.is_fine(place)]
        now = [
            [
                _value(group, curve.name)
                for group in rehearsal.groups(curve.optimizer)[: curve.groups]
            ]
            for curve in curves
        ]
        if tick in wanted:
            kept[tick] = now
        firsts = [_Extreme(values[0], tick, now) for values in now]
        extremes = extremes or [(first, first) for first in firsts]
        extremes = [
            (max(high, first, key=_worth), min(low, first, key=_worth))
            for (high, low), first in zip(extremes, firsts, strict=True)
        ]
    return kept, extremes


def _worth(extreme: _Extreme) -> float:
    return extreme.value


def _length(place: Place) -> str:
    if place.max_iters is not None:
        return amount(place.max_iters, "iteration")
    epochs = amount(place.max_epochs or 0, "epoch")
    if place.epoch_length is None:
        return epochs
    return f"{epochs} of {amount(place.epoch_length, 'iteration')}"


def _name(found: Curves, tick: int, words: list[str]) -> str:
    epoch = ""
    if found.epoch_length:
        epoch = f" (epoch {tick / found.epoch_length:.4g})"
    return f"{found.unit} {tick}{epoch}: {', '.join(dict.fromkeys(words))}"


def _curves(rehearsal: Rehearsal, counts: Mapping[str, int]) -> Iterator[Curve]:
    """The rate and the momentum of each optimizer, and what else is scheduled."""
    for name in rehearsal.schedules:
        first = rehearsal.groups(name)[0]
        keys = ["lr"] if "lr" in first else []
        if "betas" in first or first.get("momentum"):
            keys.append("momentum")
        keys += [key for owner, key in rehearsal.values() if owner == name]
        for key in dict.fromkeys("momentum" if k == "betas" else k for k in keys):
            yield Curve(name, key, counts[name])


def _value(group: dict[str, Any], name: str) -> float:
    if name == "momentum" and "betas" in group:
        return float(group["betas"][0])
    return float(group[name])


def _marks(rehearsal: Rehearsal, place: Place, total: int) -> dict[int, list[str]]:
    """Where schedules begin, end and bend."""
    marks: dict[int, list[str]] = {0: ["start"]}
    fine = rehearsal.is_fine(place)
    for name, some in rehearsal.schedules.items():
        for one in some:
            by_epoch = getattr(one, "by_epoch", True)
            factor = (place.epoch_length or 0) if fine and by_epoch else 1
            inner = getattr(one, "schedule", one)
            title = f"{name}.{type(inner).__name__}" if name else type(inner).__name__
            for step, what in _bends(inner):
                tick = step * factor
                if 0 < tick < total:
                    marks.setdefault(tick, []).append(f"{title} {what}")
    marks.setdefault(total - 1, []).append("end")
    return marks


def _bends(schedule: Any) -> Iterator[tuple[int, str]]:
    """Steps of a schedule at which something happens, and what."""
    begin = getattr(schedule, "begin", 0)
    yield begin, "begins"
    end = getattr(schedule, "end", None)
    if end is not None:
        yield end, "ends"
    for name in _INNER:
        steps = getattr(schedule, name, ())
        word = {"milestones": "milestone", "cumulative_periods": "restarts"}.get(name)
        if isinstance(steps, int):
            steps, word = [steps], f"{name} reached"
        for step in steps:
            # ours would name the last step, `end - 1`, beside its end
            if begin + step not in ((end or 0) - 1, end):
                yield begin + step, word or name


def _remarks(rehearsal: Rehearsal, counts: Mapping[str, int]) -> Iterator[str]:
    for name, some in rehearsal.schedules.items():
        optimizer = f" of {name!r}" if name else ""
        count = counts[name]
        if count > 1:
            yield (
                f"The table shows the first of {count} parameter groups{optimizer}; "
                "the picture shows all."
            )
        for one in some:
            if getattr(one, "need_val_args", False):
                inner = getattr(one, "schedule", one)
                yield (
                    f"{type(inner).__name__}{optimizer} waits for metrics: drawn as if "
                    "it never reduced."
                )
