"""What a log line that is no scalar says, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve

from engine.report.numbers import plural
from engine.report.run import Event
from engine.units import size_text

__all__ = ["collapse", "describe"]

_APART = frozenset(
    {
        "timestamp",
        "level",
        "event",
        "run",
        "rank",
        "exception",
        "stack",
        "text",
        "traceback",
        "time_spent",
    }
)
_EXACT = "exact"
_LONGEST = 300  # characters of an event's text; the rest goes to its details


def describe(record: Mapping[str, Any]) -> Event:
    """The event that a log line tells of.

    >>> describe(
    ...     {"event": "resumed", "path": "a/iter_4.pth", "epoch": 1, "iter": 4}
    ... ).text
    'resumed from iter_4.pth: 1 epoch and 4 iterations in all are done'
    >>> describe({"event": "message", "text": "by print_log"}).text
    'by print_log'
    >>> describe(
    ...     {"event": "backend_failed", "backend": "WandB", "level": "warning"}
    ... ).text
    'backend failed: backend WandB'
    """
    kind = str(record.get("event", ""))
    words = _WORDS.get(kind, _others)
    try:
        text = words(record)
    except (KeyError, TypeError, ValueError):  # the line has another form than today
        text = _others(record)
    details = [
        str(record[key]) for key in ("traceback", "exception", "stack") if key in record
    ]
    if len(text) > _LONGEST:
        details.insert(0, text)
        text = f"{text[:_LONGEST]}..."
    return Event(
        time=str(record.get("timestamp", "")),
        level=str(record.get("level", "info")),
        kind=kind,
        text=" ".join(text.split()),
        details="\n".join(details),
    )


def collapse(events: Iterable[Event]) -> Sequence[Event]:
    """Events with those that repeat the one before them counted, not listed.

    >>> one = Event("t", "warning", "late", "too late")
    >>> [event.count for event in collapse([one, one, one])]
    [3]
    """
    found: list[Event] = []
    for event in events:
        last = found[-1] if found else None
        if last is not None and (last.kind, last.text, last.details) == (
            event.kind,
            event.text,
            event.details,
        ):
            found[-1] = evolve(last, count=last.count + event.count)
        else:
            found.append(event)
    return found


def _others(record: Mapping[str, Any]) -> str:
    """The event's name and its values: what a hook of the user's logs, for instance."""
    name = str(record.get("event", "")).replace("_", " ")
    values = [
        f"{key} {_short(value)}"
        for key, value in record.items()
        if key not in _APART and value not in ("", None)
    ]
    return f"{name}: {', '.join(values)}" if values else name


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_short(one)}" for key, one in value.items())
    return str(value)


def _starts(record: Mapping[str, Any]) -> str:
    where = f", iteration {record['iter']}" if record["iter"] else ""
    return f"training starts at epoch {record['epoch']}{where}, seed {record['seed']}"


def _ends(record: Mapping[str, Any]) -> str:
    place = f"{plural(record['epoch'], 'epoch')}, {plural(record['iter'], 'iteration')}"
    reason = f": {record['reason']}" if record.get("reason") else ""
    return f"training ends ({record.get('outcome', 'finished')}) after {place}{reason}"


def _failed(record: Mapping[str, Any]) -> str:
    return f"the run failed after iteration {record['iter']}: {record['error']}"


def _resumed(record: Mapping[str, Any]) -> str:
    name = str(record["path"]).rpartition("/")[2]
    epochs, iterations = plural(record["epoch"], "epoch"), record["iter"]
    return (
        f"resumed from {name}: {epochs} and {plural(iterations, 'iteration')} in all "
        "are done"
    )


def _report(record: Mapping[str, Any]) -> str:
    parts = dict(record["parts"])
    others = [f"{part} ({level})" for part, level in parts.items() if level != _EXACT]
    exact = len(parts) - len(others)
    if not others:
        return f"resume report: all {exact} parts are restored exactly"
    return f"resume report: {exact} parts are exact; not so {', '.join(others)}"


def _reason(record: Mapping[str, Any]) -> str:
    name = str(record["event"]).replace("_", " ")
    return f"{name}: {record['reason']}"


def _setting(record: Mapping[str, Any]) -> str:
    return f"resume: {record['path']} {record['change']}"


def _message(record: Mapping[str, Any]) -> str:
    return str(record["text"])


def _room(record: Mapping[str, Any]) -> str:
    needed = size_text(record["size_bytes"])
    free = size_text(record["free_bytes"])
    files = plural(record["files"], "checkpoint")
    return f"{record['path']}: {files} of {needed} to come, {free} are free"


def _remark(record: Mapping[str, Any]) -> str:
    return f"resume: {record['part']} is {record['level_']}: {record['reason']}"


_WORDS = {
    "training_starts": _starts,
    "training_ends": _ends,
    "run_failed": _failed,
    "resumed": _resumed,
    "resume_report": _report,
    "resume_remark": _remark,
    "checkpoint_passed_over": _reason,
    "config_not_written": _reason,
    "disk_room": _room,
    "message": _message,
    "setting_changed": _setting,
}
