"""What a progress bar shows, as text of a given width: pure functions."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from attrs import Factory, define, frozen

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["Pace", "Work", "progress_line", "shown_values"]

_LEAST_BAR, _MOST_BAR = 5, 40  # columns
_BESIDE_VALUES = 15  # columns of the bar that values leave, to see it move
_SPAN_SECONDS = 5.0  # that a rate looks back
_HIDDEN = frozenset({"time", "data_time", "memory", "epoch", "iter", "eta", "step"})


@frozen(kw_only=True)
class Work:
    """How far something is.

    Args:
        label: What it is.
        done: Batches done, at least 0.
        total: Of so many; 0: nobody knows.
        per_second: Batches per second, above 0; ``None``: not known yet.
        eta_seconds: Seconds that are left; ``None``: not known yet.
        values: What was logged last, by name, the most telling first.
    """

    label: str
    done: int
    total: int
    per_second: float | None = None
    eta_seconds: float | None = None
    values: Mapping[str, str] = Factory(dict)


def progress_line(work: Work, *, width: int, is_ascii: bool = False) -> Text:
    """One line about some work, at most ``width`` columns wide.

    Where it is narrow, values are left out first; the label and the count stay.

    Args:
        work: How far it is.
        width: Columns, at least 1.
        is_ascii: Whether the bar is drawn in ASCII.

    >>> work = Work(label="train 3/20", done=11, total=22, per_second=40.25)
    >>> print(progress_line(work, width=50, is_ascii=True))
    train 3/20 ###########------------ 11/22 40.2 it/s
    >>> print(progress_line(work, width=24, is_ascii=True))
    train 3/20 ###---- 11/22
    >>> print(progress_line(work, width=20, is_ascii=True))
    train 3/20 11/22
    """
    from rich.text import Text

    total = str(work.total or "?")
    count = f"{work.done:>{len(total)}}/{total}" if work.total else str(work.done)
    parts = [
        ("", work.label),
        ("bold", count),
        ("", "" if work.per_second is None else _rate(work.per_second)),
        ("cyan", "" if work.eta_seconds is None else f"eta {_time(work.eta_seconds)}"),
    ]
    parts = [part for part in parts if part[1]]
    used = sum(len(text) + 1 for _, text in parts) - 1
    whole = used <= width
    while used > width and len(parts) > 2:  # label and count stay  # noqa: PLR2004
        used -= len(parts.pop(2)[1]) + 1
    least = _LEAST_BAR + 1 if work.total else 0
    kept = _BESIDE_VALUES + 1 if work.total else 0
    for name, value in work.values.items():
        text = f"{name} {value}"
        if not whole or used + kept + len(text) + 1 > width:
            break
        parts.append(("green", text))
        used += len(text) + 1
    bar = work.total and used + least <= width
    line = Text(parts[0][1], no_wrap=True, end="")
    if bar:
        room = min(width - used - 1, _MOST_BAR)
        line.append(" ").append_text(_bar(work.done / work.total, room, is_ascii))
    for style, text in parts[1:]:
        line.append(" ").append(text, style)
    line.truncate(width)
    return line


def _bar(part: float, width: int, is_ascii: bool) -> Text:
    from rich.text import Text

    full, empty = ("#", "-") if is_ascii else ("━", "─")
    columns = int(min(max(part, 0.0), 1.0) * width)
    return Text(full * columns, "green").append(empty * (width - columns), "dim")


def _rate(per_second: float) -> str:
    """Batches per second, or seconds per batch where that is above one.

    >>> _rate(1234.5), _rate(12.34), _rate(0.25)
    ('1234 it/s', '12.3 it/s', '4.0 s/it')
    """
    if per_second < 1:
        return f"{1 / per_second:.1f} s/it"
    return f"{per_second:.{0 if per_second >= 1000 else 1}f} it/s"  # noqa: PLR2004


def _time(seconds: float) -> str:
    """As the log lines show it.

    >>> _time(3723.9)
    '1:02:03'
    """
    return str(timedelta(seconds=int(max(seconds, 0))))


def shown_values(
    newest: Mapping[str, Any], metrics: Mapping[str, Any]
) -> dict[str, str]:
    """What a line shows of what was logged: losses, metrics, then the rest.

    Args:
        newest: The newest log line's values.
        metrics: The newest validation's.

    >>> shown_values({"lr": 0.1, "time": 0.2, "loss": 2.0 / 3}, {"acc": 0.98765})
    {'loss': '0.6667', 'acc': '0.9877', 'lr': '0.1'}
    """
    losses = {name: value for name, value in newest.items() if "loss" in name}
    found = {}
    for name, value in {**losses, **metrics, **newest}.items():
        if name in _HIDDEN or name in found or isinstance(value, bool):
            continue
        if isinstance(value, int | float):
            found[name] = f"{value:.4g}"
    return found


@define
class Pace:
    """How many batches a second were done of late.

    >>> pace = Pace()
    >>> for second in range(4):
    ...     pace.note(float(second), 3 * second)
    >>> pace.per_second
    3.0
    """

    _points: deque[tuple[float, int]] = Factory(deque)

    def restart(self, now: float, done: int) -> None:
        """Forget what was; what follows begins here."""
        self._points.clear()
        self._points.append((now, done))

    def note(self, now: float, done: int) -> None:
        """Note how many batches were done at a time, in seconds."""
        points = self._points
        points.append((now, done))
        while len(points) > 2 and points[1][0] < now - _SPAN_SECONDS:  # noqa: PLR2004
            points.popleft()

    @property
    def per_second(self) -> float | None:
        """Batches per second; ``None``: not known yet."""
        if len(self._points) < 2:  # noqa: PLR2004
            return None
        (begun, first), (now, done) = self._points[0], self._points[-1]
        return (done - first) / (now - begun) if done > first else None
