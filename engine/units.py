"""Quantities as people read them; imports nothing heavy."""

from __future__ import annotations

__all__ = ["size_text"]

_KIB = 1024


def size_text(count: float) -> str:
    """A number of bytes.

    >>> size_text(100), size_text(226816), size_text(3 * 2**30)
    ('100 B', '221.5 KiB', '3.0 GiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < _KIB:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= _KIB
    return f"{count:.1f} TiB"
