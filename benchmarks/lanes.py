"""Contenders that take turns: short stretches, many rounds, medians of differences.

A machine is never quiet, and two loops that are timed one after the other are timed on
two machines. Here each contender is a *lane*: a thread that trains as its users would
train, with one call of ``pace()`` in its step. Every so many steps ``pace`` takes the
time and lets the next lane run; one lane runs at a time. The bare loop's turn comes
before and after each other lane's: what a lane takes more than the mean of those two is
its share, and what counts is the median of the shares over many rounds.

Times are the lane's thread's own on the processor, so that other processes on a busy
machine take none of it. That is honest as long as nobody waits or has work done in
another thread, which here nobody does; ``wall`` is there to see that it is so.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import subprocess
import threading
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

Pace: TypeAlias = "Callable[[], None]"
Contender: TypeAlias = "Callable[[Pace, int], object]"
"""Runs the given number of iterations and calls ``pace()`` first in each."""
Turn: TypeAlias = tuple[float, float]
"""Microseconds of a lane's iteration, and of the bare loop's at that moment."""

BARE = "bare loop"

CLOCKS: dict[str, Callable[[], float]] = {"cpu": thread_time, "wall": perf_counter}

LEAD_IN = 10
"""Iterations at the start of a turn that are not timed: caches hold what another lane
left, and Python's inline caches in shared functions are set for its classes."""


class Lane:
    """One contender in a thread of its own.

    Args:
        name: What tables call it.
        contender: What it runs.
        stretch: Iterations in one turn.
        turns: How many turns it will get.
        clock: Seconds, asked in the lane's thread.
    """

    def __init__(
        self,
        name: str,
        contender: Contender,
        *,
        stretch: int,
        turns: int,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self._contender = contender
        self._stretch = stretch
        self._clock = clock
        self._iterations = (LEAD_IN + stretch) * turns + 1
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._took = 0.0
        self._began = 0.0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Build the contender and run it up to its first step."""
        self._thread.start()
        self._stopped.acquire()
        self._raise()

    def turn(self) -> float:
        """Let it run one stretch; returns microseconds per iteration."""
        self._go.release()
        self._stopped.acquire()
        self._raise()
        return self._took / self._stretch * 1e6

    def finish(self) -> None:
        """Let it end: what it does after its last step is not measured."""
        self._go.release()
        self._thread.join()
        self._raise()

    def _run(self) -> None:
        left, leading_in = 0, False
        stretch, clock = self._stretch, self._clock

        def pace() -> None:
            nonlocal left, leading_in
            if left:
                left -= 1
                return
            if leading_in:
                leading_in, left = False, stretch - 1
                self._began = clock()
                return
            self._took = clock() - self._began
            self._stopped.release()
            self._go.acquire()
            leading_in, left = True, LEAD_IN - 1

        try:
            self._contender(pace, self._iterations)
        except BaseException as error:  # noqa: BLE001 # raised by the main thread
            self._error = error
        finally:
            self._stopped.release()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


class Peer:
    """A script under another Python that races lanes of its own, a round at a time.

    It prints one JSON line when it is ready, one after each line that it reads, and
    ends at the end of its input.

    Args:
        command: What starts it.
        log: Gets what it prints on its standard error.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.about: dict[str, Any] = self._read()

    def round(self) -> dict[str, Turn]:
        """As :meth:`Race.round`, of its lanes."""
        assert self._process.stdin is not None
        self._process.stdin.write("round\n")
        self._process.stdin.flush()
        return self._read()

    def finish(self) -> None:
        """End its input, then wait for it."""
        self._process.communicate(timeout=120)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            message = f"the peer ended early:\n{self._log.read_text()[-3000:]}"
            raise RuntimeError(message)
        answer: dict[str, Any] = json.loads(line)
        return answer


class Race:
    """Several lanes over the same number of rounds.

    Args:
        contenders: By name; one is called :data:`BARE`.
        stretch: Iterations in one turn.
        rounds: Rounds that count.
        warmup: Rounds before them that do not.
        clock: Seconds, asked in a lane's thread.
    """

    def __init__(
        self,
        contenders: Mapping[str, Contender],
        *,
        stretch: int,
        rounds: int,
        warmup: int,
        clock: Callable[[], float],
    ) -> None:
        self._rounds, self._warmup = rounds, warmup
        turns = rounds + warmup
        self._lanes = [
            Lane(
                name,
                contender,
                stretch=stretch,
                turns=turns * len(contenders) if name == BARE else turns,
                clock=clock,
            )
            for name, contender in contenders.items()
        ]
        self._bare = next(lane for lane in self._lanes if lane.name == BARE)
        self._order = [lane for lane in self._lanes if lane is not self._bare]
        for lane in self._lanes:
            lane.start()

    def round(self) -> dict[str, Turn]:
        """Give each lane one turn, the bare one around each; another begins each time.

        Returns:
            By name the microseconds of an iteration, and of the bare loop's beside it.
        """
        turns = {}
        before = self._bare.turn()
        bare = [before]
        for lane in self._order:
            took, after = lane.turn(), self._bare.turn()
            turns[lane.name] = (took, (before + after) / 2)
            bare.append(after)
            before = after
        self._order.append(self._order.pop(0))
        middle = statistics.median(bare)
        turns[BARE] = (middle, middle)
        return {lane.name: turns[lane.name] for lane in self._lanes}

    def finish(self) -> None:
        """Let all lanes end."""
        for lane in self._lanes:
            lane.finish()

    def run(self, peer: Peer | None = None) -> list[Row]:
        """Run all rounds, the peer's beside them, and sum up.

        Args:
            peer: Races lanes of its own; its bare loop is called ``"NAME: bare loop"``
                in the rows, and its others are compared with that one.
        """
        ours: list[Mapping[str, Turn]] = []
        theirs: list[Mapping[str, Turn]] = []
        for number in range(self._warmup + self._rounds):
            mine = self.round()
            other = {} if peer is None else peer.round()
            if number >= self._warmup:
                ours.append(mine)
                theirs.append(other)
        self.finish()
        rows = sum_up(ours)
        if peer is not None:
            peer.finish()
            rows += [
                row if row.name != BARE else Row(f"{BARE} beside it", row.times, None)
                for row in sum_up(theirs)
            ]
        return rows


class Row:
    """What was measured of one contender.

    Args:
        name: Its name.
        times: Microseconds per iteration, one number a round.
        shares: The same less the bare loop's beside it; ``None`` of that loop.
    """

    def __init__(
        self, name: str, times: Sequence[float], shares: Sequence[float] | None
    ) -> None:
        self.name = name
        self.times = times
        self.shares = shares

    @property
    def share(self) -> float:
        """Median of the shares; 0 of a bare loop."""
        return 0.0 if self.shares is None else statistics.median(self.shares)

    def plain(self) -> dict[str, Any]:
        """Medians and quartiles, as JSON has them."""
        facts: dict[str, Any] = {"name": self.name, **_spread("us", self.times)}
        if self.shares is not None:
            facts |= _spread("share_us", self.shares)
        return facts

    def text(self) -> str:
        """A line of a table."""
        low, _, high = quartiles(self.times)
        line = f"  {self.name:<34}{statistics.median(self.times):>9.2f}"
        line += f"  {low:>8.2f} .. {high:<8.2f}"
        if self.shares is not None:
            low, _, high = quartiles(self.shares)
            line += f"{self.share:>+9.2f}  {low:>+8.2f} .. {high:<+8.2f}"
        return line


TABLE_HEAD = (
    f"  {'us per iteration':<34}{'median':>9}  {'quartiles':>16}"
    f"{'share':>13}  {'quartiles':>16}"
)


def sum_up(rounds: Sequence[Mapping[str, Turn]]) -> list[Row]:
    """A row for each lane."""
    rows = []
    for name in rounds[0]:
        turns = [one[name] for one in rounds]
        shares = None if name == BARE else [took - bare for took, bare in turns]
        rows.append(Row(name, [took for took, _ in turns], shares))
    return rows


def ratio(above: Row, below: Row) -> tuple[float, float, float]:
    """Ratio of two medians of shares, and how far chance may have moved it.

    Returns:
        The ratio, and the 5th and 95th percentile of it over 1,000 drawings of as many
        rounds, with repeats (bootstrap).
    """
    pairs = list(zip(above.shares or (), below.shares or (), strict=True))
    generator = random.Random(0)
    drawn = []
    for _ in range(1_000):
        some = generator.choices(pairs, k=len(pairs))
        drawn.append(_of_medians(some))
    drawn.sort()
    return _of_medians(pairs), drawn[50], drawn[949]


def _of_medians(pairs: Sequence[tuple[float, float]]) -> float:
    above, below = (statistics.median(some) for some in zip(*pairs, strict=True))
    return above / below if below else math.nan


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median and third quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def _spread(name: str, values: Sequence[float]) -> dict[str, float]:
    low, middle, high = (round(value, 3) for value in quartiles(values))
    return {name: middle, f"{name}_q1": low, f"{name}_q3": high}
