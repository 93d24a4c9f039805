"""Numbers as people read them."""

from __future__ import annotations

import math

from engine.errors import amount

__all__ = ["number", "plural", "share", "span"]

_SMALL, _LARGE = 1e-3, 1e6
_MINUTE, _HOUR = 60, 3600


def number(value: float | None, name: str = "") -> str:
    """A scalar as the log shows it: four digits after the point, rates with exponent.

    Args:
        value: ``None`` gives an empty text.
        name: The scalar's: a learning rate always has an exponent.

    >>> number(0.99333333), number(2.5e-05), number(0.003, "lr"), number(0.0)
    ('0.9933', '2.5000e-05', '3.0000e-03', '0.0000')
    >>> number(float("nan")), number(12345678.0)
    ('nan', '1.2346e+07')
    """
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(value)
    small = value != 0 and abs(value) < _SMALL
    if small or abs(value) >= _LARGE or is_rate(name):
        return f"{value:.4e}"
    return f"{value:.4f}"


def is_rate(name: str) -> bool:
    """Whether a scalar is a learning rate, by its name."""
    return name == "lr" or name.endswith((".lr", "_lr"))


def span(seconds: float) -> str:
    """A length of time.

    >>> span(0.0421), span(3.21), span(75), span(8000)
    ('42 ms', '3.2 s', '1 min 15 s', '2 h 13 min')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def share(part: float, whole: float) -> str:
    """A part in per cent.

    >>> share(1, 3), share(0, 0), share(1, 10_000)
    ('33 %', '0 %', '< 1 %')
    """
    if whole <= 0 or part <= 0:
        return "0 %"
    percent = 100 * part / whole
    return "< 1 %" if percent < 1 else f"{percent:.0f} %"


def plural(count: int, what: str) -> str:
    """``1 epoch``, ``2 epochs``.

    >>> plural(1, "epoch"), plural(1500, "iteration")
    ('1 epoch', '1,500 iterations')
    """
    return amount(count, what, spec=",")
