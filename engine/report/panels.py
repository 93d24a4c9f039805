"""Which curves stand in which panel, and how many of their points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from engine.report.best import best_index, rule_of
from engine.report.numbers import is_rate
from engine.report.run import Curve, Mode, Run

__all__ = ["Line", "Panel", "panels", "thin"]

Kind = Literal["loss", "metric", "rate", "speed", "other"]

_ORDER: Mapping[str, int] = {"loss": 0, "metric": 1, "rate": 2, "other": 3, "speed": 4}
_UNITS: Mapping[str, str] = {"data_time": "s"}
MOST_POINTS = 2000
"""Points of a curve that a page holds: more than its pixels."""


@frozen(kw_only=True)
class Line:
    """A curve in a panel.

    Args:
        run: Index of the run.
        mode: What it is of.
        places: Iterations.
        values: One for each.
        best: Index of the best value; ``None``: not to be told.
        left_out: Points that were left out.
        trend: Of a curve with points left out, places and means of stretches; else
            empty.
    """

    run: int
    mode: Mode
    places: Sequence[int]
    values: Sequence[float]
    best: int | None = None
    left_out: int = 0
    trend: tuple[Sequence[int], Sequence[float]] = ((), ())


@frozen
class Panel:
    """A picture with axes of its own.

    Args:
        name: The scalar's.
        kind: What it shows.
        lines: Its curves.
    """

    name: str
    kind: Kind
    lines: Sequence[Line]

    @property
    def title(self) -> str:
        """The name, with the unit of what the engine itself measures."""
        unit = _UNITS.get(self.name)
        return self.name if unit is None else f"{self.name} ({unit})"

    @property
    def suits_log(self) -> bool:
        """Whether a log scale can show all of it."""
        return all(
            value > 0
            for line in self.lines
            for value in line.values
            if math.isfinite(value)
        )


def panels(runs: Sequence[Run], *, most: int = MOST_POINTS) -> Sequence[Panel]:
    """The panels of a report, those of most interest first.

    A scalar of training and one of the validations with the same name share one.

    Args:
        runs: Their curves are overlaid.
        most: Points of a curve that are kept.
    """
    found: dict[tuple[str, str], list[Line]] = {}
    for index, run in enumerate(runs):
        for curve in (*run.curves, *_speed(run)):
            if (curve.mode, curve.name) == ("train", "time"):
                continue  # its reciprocal is shown
            kind = _kind(curve)
            rule = rule_of(run.settings, curve.name) if curve.mode == "val" else None
            places, values = thin(
                curve.places, curve.values, most, keep=best_index(curve.values, rule)
            )
            left_out = len(curve.places) - len(places)
            line = Line(
                run=index,
                mode=curve.mode,
                places=places,
                values=values,
                best=best_index(values, rule),
                left_out=left_out,
                trend=means(curve.places, curve.values, most // 3)
                if left_out
                else ((), ()),
            )
            found.setdefault((kind, curve.name), []).append(line)
    made = [
        Panel(name, kind, lines)  # type: ignore[arg-type]  # what _kind returned
        for (kind, name), lines in found.items()
    ]
    return sorted(made, key=lambda one: _ORDER[one.kind])


def _kind(curve: Curve) -> Kind:
    if "loss" in curve.name:
        return "loss"
    if curve.mode == "val":
        return "metric"
    if is_rate(curve.name):
        return "rate"
    if curve.name in ("iterations per second", "data_time", "memory"):
        return "speed"
    return "other"


def _speed(run: Run) -> Iterator[Curve]:
    """Iterations per second, of the mean times that were logged."""
    for one in run.curves:
        if one.mode == "train" and one.name == "time":
            told = [
                (place, 1 / value)
                for place, value in zip(one.places, one.values, strict=True)
                if value > 0
            ]
            if told:
                places, values = zip(*told, strict=True)
                yield Curve("train", "iterations per second", places, values)


def thin(
    places: Sequence[int],
    values: Sequence[float],
    most: int,
    *,
    keep: int | None = None,
) -> tuple[Sequence[int], Sequence[float]]:
    """At most ``most`` points of a curve, with its ends and each stretch's extremes.

    Args:
        places: Ascending.
        values: One for each place.
        most: At least 8.
        keep: Index of a point that stays.

    >>> thin([1, 2, 3], [0.5, 0.4, 0.3], 8)
    ([1, 2, 3], [0.5, 0.4, 0.3])
    >>> places, values = thin(range(1000), [i == 500 for i in range(1000)], 10)
    >>> len(places) <= 10, 500 in places, places[0], places[-1]
    (True, True, 0, 999)
    """
    count = len(places)
    if count <= most:
        return places, values
    chosen = {0, count - 1} | ({keep} if keep is not None else set())
    stretches = max((most - len(chosen)) // 3, 1)
    for part in range(stretches):
        stretch = range(part * count // stretches, (part + 1) * count // stretches)
        known = [index for index in stretch if math.isfinite(values[index])]
        if known:
            chosen.add(min(known, key=lambda index: values[index]))
            chosen.add(max(known, key=lambda index: values[index]))
        if len(known) < len(stretch):  # where it broke is worth a point as well
            chosen.add(next(i for i in stretch if not math.isfinite(values[i])))
    kept = sorted(chosen)
    return [places[index] for index in kept], [values[index] for index in kept]


def means(
    places: Sequence[int], values: Sequence[float], most: int
) -> tuple[Sequence[int], Sequence[float]]:
    """The mean of each of at most ``most`` stretches, at the middle of the stretch.

    Values that are not finite count as if they were not there.

    >>> means([1, 2, 3, 4], [1.0, 3.0, float("nan"), 5.0], 2)
    ([2, 4], [2.0, 5.0])
    """
    count = len(places)
    found = {}
    for part in range(most):
        stretch = range(part * count // most, (part + 1) * count // most)
        known = [values[index] for index in stretch if math.isfinite(values[index])]
        if known:
            middle = places[stretch[len(stretch) // 2]]
            found[middle] = sum(known) / len(known)
    return list(found), list(found.values())


def as_json(panel: Panel) -> dict[str, Any]:
    """A panel as the page's script takes it: numbers that are not finite are null."""
    return {
        "name": panel.name,
        "title": panel.title,
        "kind": panel.kind,
        "log": panel.suits_log,
        "lines": [
            {
                "run": line.run,
                "mode": line.mode,
                "x": list(line.places),
                "y": [one if math.isfinite(one) else None for one in line.values],
                "best": line.best,
                "leftOut": line.left_out,
                **_trend(line),
            }
            for line in panel.lines
        ],
    }


def _trend(line: Line) -> dict[str, Any]:
    places, values = line.trend
    return {"trend": {"x": list(places), "y": list(values)}} if places else {}
