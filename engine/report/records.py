"""What single log lines hold, each read for itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import evolve

from engine.report.lines import as_number
from engine.report.numbers import plural
from engine.report.run import Curve, Event, Mode, Spent, Start

__all__ = [
    "APART",
    "PLACES",
    "curve_of",
    "guess_spent",
    "metrics_of",
    "seconds_between",
    "spent_of",
    "vanished",
    "whole",
]

TIMES = frozenset({"time", "data_time", "eta", "memory", "elapsed", "timestamp"})
PLACES = frozenset({"epoch", "iter", "step"})
APART = frozenset({"timestamp", "level", "event", "run", "rank", "time_spent"})


def vanished(start: Start, done: int | None) -> Event:
    """A process that did not say how it ended, told when the next one goes on."""
    text = f"the process before ended without a word after iteration {start.last}"
    again = start.last - (start.last if done is None else done)
    if again > 0:
        text += f"; {plural(again, 'iteration')} of its work are done again"
    return Event(start.ended, "warning", "process_vanished", text)


def curve_of(mode: Mode, name: str, points: Mapping[int, float]) -> Curve:
    """A curve of values by iteration."""
    places = sorted(points)
    return Curve(mode, name, places, [points[place] for place in places])


def metrics_of(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a line of a validation or a test, times and places left out."""
    found = {}
    for key, value in record.items():
        number = as_number(value)
        if number is None or key in APART or key in PLACES:
            continue
        if key.rpartition("/")[2] not in TIMES:
            found[key.removeprefix("val/").removeprefix("test/")] = number
    return found


def whole(record: Mapping[str, Any], key: str) -> int | None:
    """A whole number of a line; ``None`` if it has none under that name."""
    value = record.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def spent_of(record: Mapping[str, Any]) -> Spent | None:
    """What a line says of where the process's time went."""
    given = record.get("time_spent")
    if not isinstance(given, Mapping):
        return None
    numbers = {str(key): _seconds(value) for key, value in given.items()}
    return Spent(
        data=numbers.get("data", 0.0),
        step=numbers.get("step", 0.0),
        validation=numbers.get("validation", 0.0),
        saving=numbers.get("saving", 0.0),
        training=numbers.get("training", 0.0),
        samples=int(numbers.get("samples", 0)),
        iterations=int(numbers.get("iterations", 0)),
    )


def _seconds(value: object) -> float:
    found = as_number(value)
    return found if found is not None and math.isfinite(found) else 0.0


def guess_spent(start: Start, record: Mapping[str, Any], done: int) -> Spent | None:
    """Where time went by the mean times of log lines, each up to the next line."""
    total, data = [
        as_number(record.get(name, record.get(f"train/{name}")))
        for name in ("time", "data_time")
    ]
    time = str(record.get("timestamp", ""))
    if total is None or data is None or not time or not math.isfinite(total + data):
        return start.spent
    known = start.spent or Spent(measured=False)
    more = max(done - start.first - known.iterations, 0)
    return evolve(
        known,
        data=known.data + more * data,
        step=known.step + more * max(total - data, 0.0),
        training=max(seconds_between(start.began, time), 0.0),
        iterations=known.iterations + more,
        measured=False,
    )


def seconds_between(first: str, last: str) -> float:
    """From one ISO 8601 time to another; 0 if one is none.

    >>> seconds_between("2026-11-24T10:00:00+00:00", "2026-11-24T10:01:30.5+00:00")
    90.5
    """
    try:
        gone = datetime.fromisoformat(last) - datetime.fromisoformat(first)
    except (TypeError, ValueError):
        return 0.0
    return gone.total_seconds()
