"""Files of JSON objects, one a line, read so that a broken line loses no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Note", "as_number", "read_lines"]

_SHOWN = 40  # characters of a line that a note quotes


@frozen
class Note:
    """Something in a run's files that could not be read.

    Args:
        where: File, and line if it is one.
        text: What is wrong, and what came of it.
    """

    where: str
    text: str

    def __str__(self) -> str:
        """``scalars.json:3: no JSON ...``."""
        return f"{self.where}: {self.text}"


def read_lines(
    text: str, where: str
) -> tuple[Sequence[Mapping[str, Any]], Sequence[Note]]:
    r"""The objects of a file, and notes on the lines that are none.

    Args:
        text: All of the file.
        where: Its name, for notes.

    >>> records, notes = read_lines('{"a": 1}\nbroken\n{"b": ', "log.jsonl")
    >>> records
    [{'a': 1}]
    >>> [note.where for note in notes]
    ['log.jsonl:2', 'log.jsonl:3']
    """
    records: list[Mapping[str, Any]] = []
    notes: list[Note] = []
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            records.append(record)
            continue
        if number == len(lines):
            why = "the last line is half written: the run is writing it, or was killed"
        else:
            shown = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
            why = f"no JSON object, left out: {shown!r}"
        notes.append(Note(f"{where}:{number}", why))
    return records, notes


def as_number(value: object) -> float | None:
    """A scalar that was written down; ``None`` for anything else.

    Numbers that are not finite are text in a log, ``NaN`` in a metrics file.

    >>> as_number(3), as_number("nan"), as_number(True), as_number([1])
    (3.0, nan, None, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return None
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):
        return float(value)
    return None
