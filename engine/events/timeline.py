"""Where the time of a run goes: measured on request, at no cost without it.

A bus that is given a :class:`Meter` compiles its events anew: with a clock around each
handler, and a mark at two events of each iteration, which part it into::

    ITERATION_COMPLETED | due at the safe point | ITERATION_STARTED | step | ...
    |<--- handlers ---->|<-------- due -------->|<-- handlers -->|<- step ->|
                        |<--- data: whatever else is between two steps --->|
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from attrs import Factory, define, field

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Meter", "Spent", "Timeline"]

_COLUMNS = ("seconds", "share", "calls", "us/call", "longest")
_MARKS = {"ITERATION_STARTED": "data", "ITERATION_COMPLETED": "step"}


@define(kw_only=True)
class Spent:
    """Time that one thing took.

    Args:
        calls: How often.
        seconds: In all.
        longest: The longest time, in seconds.
    """

    calls: int = 0
    seconds: float = 0.0
    longest: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one more."""
        self.calls += 1
        self.seconds += seconds
        self.longest = max(self.longest, seconds)

    @property
    def mean(self) -> float:
        """Seconds of one call; 0 without one."""
        return self.seconds / self.calls if self.calls else 0.0


@define
class Meter:
    """Times of one engine.

    Args:
        clock: Gives seconds.

    Attributes:
        parts: ``data`` (waiting for batches, and the engine's own work between steps),
            ``step`` (with the evaluator, in an evaluation), ``handlers``, and in
            training each kind of what was due at safe points: ``validation``, ``save``,
            ``save_best``. Together they are the time from the first step's data on.
        handlers: By event and name. One that runs inside of another counts in both.
    """

    clock: Callable[[], float] = perf_counter
    parts: dict[str, Spent] = field(factory=dict, init=False)
    handlers: dict[tuple[str, str], Spent] = field(factory=dict, init=False)
    _depth: int = field(default=0, init=False)
    _apart: float = field(default=0.0, init=False)  # on handlers and dues, so far
    _edge: float = field(default=0.0, init=False)  # when the last mark was
    _edge_apart: float = field(default=0.0, init=False)

    @property
    def seconds(self) -> float:
        """All parts together."""
        return sum(one.seconds for one in self.parts.values())

    @contextmanager
    def measuring(self, part: str) -> Iterator[None]:
        """Count the time of the body as ``part``, unless a measured one is around."""
        self._depth += 1
        begun = self.clock()
        try:
            yield
        finally:
            self._leave(part, self.clock() - begun)

    def timed(
        self, event: str, name: str, call: Callable[..., object]
    ) -> Callable[..., object]:
        """A handler's call with a clock around it."""
        spent = self.handlers.setdefault((event, name), Spent())
        clock = self.clock

        def timed(*args: object) -> None:
            self._depth += 1
            begun = clock()
            try:
                call(*args)
            finally:
                seconds = clock() - begun
                spent.add(seconds)
                self._leave("handlers", seconds)

        return timed

    def marked(
        self, event: str, run: Callable[[tuple[Any, ...], int], None] | None
    ) -> Callable[[tuple[Any, ...], int], None] | None:
        """A compiled event with a mark before it, where it bounds a part."""
        part = _MARKS.get(event)
        if part is None and event != "STARTED":
            return run

        def marked(occasion: tuple[Any, ...], count: int) -> None:
            self._mark(part)
            if run is not None:
                run(occasion, count)

        return marked

    def _leave(self, part: str, seconds: float) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._add(part, seconds)
            self._apart += seconds

    def _mark(self, part: str | None) -> None:
        now = self.clock()
        if part is not None:
            apart = self._apart - self._edge_apart
            self._add(part, max(now - self._edge - apart, 0.0))
        self._edge, self._edge_apart = now, self._apart

    def _add(self, part: str, seconds: float) -> None:
        self.parts.setdefault(part, Spent()).add(seconds)


@define
class Timeline:
    """The times of a run's engines, by mode.

    Args:
        clock: Gives seconds.
    """

    clock: Callable[[], float] = perf_counter
    meters: dict[str, Meter] = Factory(dict)

    def meter(self, mode: str) -> Meter:
        """Of ``train``, ``val`` or ``test``; begun if there is none."""
        if mode not in self.meters:
            self.meters[mode] = Meter(self.clock)
        return self.meters[mode]

    def as_plain(self) -> dict[str, Any]:
        """As JSON can say it: seconds by mode, part and handler, the most first."""
        return {
            "format": 1,
            "modes": {
                mode: {
                    "seconds": meter.seconds,
                    "iterations": meter.parts.get("step", Spent()).calls,
                    "parts": [
                        {"part": part, **_plain(spent)}
                        for part, spent in _by_time(meter.parts)
                    ],
                    "handlers": [
                        {"event": event, "handler": name, **_plain(spent)}
                        for (event, name), spent in _by_time(meter.handlers)
                    ],
                }
                for mode, meter in self.meters.items()
                if meter.parts
            },
        }

    def table(self) -> str:
        """For people: each part and each handler with its share and its mean."""
        lines = []
        for mode, meter in self.meters.items():
            if not meter.parts:
                continue
            whole = meter.seconds
            steps = meter.parts.get("step", Spent()).calls
            lines.append(f"{mode}: {whole:.3f} s, {steps} iterations")
            lines.append(
                _row("part", "seconds", "share", "calls", "us/call", "longest")
            )
            lines += [_spent(name, one, whole) for name, one in _by_time(meter.parts)]
            lines.append("  handlers")
            lines += [
                _spent(f"{name.removesuffix(f' on {event}')} ({event})", one, whole)
                for (event, name), one in _by_time(meter.handlers)
            ]
        return "\n".join(lines)


def _by_time(spent: dict[Any, Spent]) -> list[tuple[Any, Spent]]:
    called = [(key, one) for key, one in spent.items() if one.calls]
    return sorted(called, key=lambda pair: -pair[1].seconds)


def _plain(spent: Spent) -> dict[str, float]:
    return {
        "calls": spent.calls,
        "seconds": spent.seconds,
        "mean_us": 1e6 * spent.mean,
        "longest_us": 1e6 * spent.longest,
    }


def _spent(name: str, one: Spent, whole: float) -> str:
    share = one.seconds / whole if whole else 0.0
    return _row(
        name,
        f"{one.seconds:.4f}",
        f"{share:.1%}",
        str(one.calls),
        f"{1e6 * one.mean:.1f}",
        f"{1e6 * one.longest:.0f}",
    )


def _row(name: str, *columns: str) -> str:
    return f"  {name:<58}" + "".join(f" {column:>9}" for column in columns)
