"""The ledger of a run: what each iteration was, in 32 bytes.

A file is a magic line and records of a fixed size, in the order in which they were
written. Everything here is a function of bytes and arrays: who writes the file is
``engine.hooks.LedgerHook``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from attrs import field, frozen

from engine.errors import SerializationError

__all__ = [
    "Parting",
    "cut_ledger",
    "find_parting",
    "ledger_name",
    "merge_ledgers",
    "read_ledger",
]

MAGIC = b"engine-ledger 1\n"

RECORD = np.dtype(
    [
        ("iteration", "<i8"),  # finished with it, so from 1
        ("samples", "<u4"),
        ("generators", "<u4"),
        ("lr", "<f8"),
        ("loss", "<f8"),
    ]
)

Records = np.ndarray[Any, np.dtype[Any]]

# In the order in which an iteration comes about.
_PARTS = ("samples", "lr", "loss", "generators")


def ledger_name(rank: int) -> str:
    """The file in which a rank writes its iterations down."""
    return f"ledger.{rank}.bin" if rank else "ledger.bin"


def read_ledger(data: bytes, where: str = "ledger") -> Records:
    """The records of a file.

    Args:
        data: What the file holds; half a record at its end, as a run that was killed
            leaves it, is left out.
        where: What a message calls the file.

    Raises:
        SerializationError: It is no ledger.
    """
    if not data.startswith(MAGIC):
        message = (
            f"{where}: no ledger: expected a file that begins with {MAGIC!r}, found "
            f"{data[: len(MAGIC)]!r}"
        )
        raise SerializationError(message)
    whole = (len(data) - len(MAGIC)) // RECORD.itemsize
    return np.frombuffer(data, RECORD, whole, len(MAGIC))


def cut_ledger(data: bytes, iteration: int) -> bytes:
    """A ledger as it was when ``iteration`` iterations were finished.

    Args:
        data: What the file holds; empty gives an empty ledger.
        iteration: Iterations that a checkpoint has behind it.

    Raises:
        SerializationError: It is no ledger.
    """
    if not data:
        return MAGIC
    records = read_ledger(data)
    return MAGIC + records[records["iteration"] <= iteration].tobytes()


def merge_ledgers(ledgers: Iterable[Records]) -> Records:
    """The one history that several starts of a run make: later starts win.

    Args:
        ledgers: Records of each start, the first start first.
    """
    merged = np.empty(0, RECORD)
    for records in ledgers:
        if len(records):
            before = merged[merged["iteration"] < records["iteration"][0]]
            merged = np.concatenate([before, records])
    return merged


@frozen
class Parting:
    """The first iteration in which two runs are not the same.

    Args:
        iteration: Which one, counted from 1.
        parts: What differs in it, in the order in which an iteration comes about:
            ``samples`` (the batch), ``lr``, ``loss``, ``generators``; ``records`` if
            only one run has the iteration.
        values: Of ``lr`` and ``loss``, those that differ: the value in each run.
        rank: Whose iteration it is; ``None``: that of the only one.
    """

    iteration: int
    parts: tuple[str, ...]
    values: Mapping[str, tuple[float, float]] = field(factory=dict)
    rank: int | None = None

    def __str__(self) -> str:
        """``iteration 7: loss (0.25 and 0.5, a difference of 0.25)``."""
        told = []
        for part in self.parts:
            text = part
            if part in self.values:
                one, other = self.values[part]
                apart = abs(one - other)
                text += f" ({one!r} and {other!r}, a difference of {apart:.3g})"
            told.append(text)
        where = "" if self.rank is None else f" of rank {self.rank}"
        return f"iteration {self.iteration}{where}: {', '.join(told)}"


def find_parting(one: Records, other: Records) -> Parting | None:
    """Where two runs part; ``None`` if they never do.

    Args:
        one: Records of a run, by rising iteration.
        other: Likewise.
    """
    shared, mine, theirs = np.intersect1d(
        one["iteration"], other["iteration"], return_indices=True
    )
    alone = np.setxor1d(one["iteration"], other["iteration"])
    first_alone = int(alone[0]) if len(alone) else None
    a, b = one[mine], other[theirs]
    differ = {part: _bits(a[part]) != _bits(b[part]) for part in _PARTS}
    rows = np.flatnonzero(np.any(list(differ.values()), axis=0))
    if len(rows) and (first_alone is None or int(shared[rows[0]]) < first_alone):
        row = int(rows[0])
        parts = tuple(part for part in _PARTS if differ[part][row])
        values = {
            part: (float(a[part][row]), float(b[part][row]))
            for part in parts
            if part in ("lr", "loss")
        }
        return Parting(int(shared[row]), parts, values)
    if first_alone is not None:
        return Parting(first_alone, ("records",))
    return None


def _bits(column: Any) -> Any:
    """Numbers whose ``!=`` means other bits, for NaN too."""
    column = np.ascontiguousarray(column)
    return column.view(f"<u{column.dtype.itemsize}")
