"""How the ranks of a run heed requests together, at the same safe point.

A signal reaches one rank, a clock runs over on one first, a handler may ask on one
alone. Each rank tells at each safe point what it was asked for, and reads at the next
one what all have told: so nothing waits, and what one rank was asked for is heeded by
all of them one safe point later. What was asked of a rank makes it wait for the others'
answers at once: if all were asked the same, as they are by a handler that runs on each
of them, it is heeded there and then, as in a process alone.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from engine.dist import Exchange, control_group, get_world_size
from engine.loops.requests import Requests
from engine.loops.stops import HANDLED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.loops.stops import Stops
    from engine.state import RunState

__all__ = ["CLOCK", "SIGNALS", "Ballots", "Council", "heed_stops", "stops_noted"]

CLOCK = "clock"
SIGNALS = {one.name: int(one) for one in HANDLED}
_TERMINATE: Mapping[str, bool | str] = {
    "terminate": True,
    "terminate, nothing after it": "skip_completed",
}
_END_EPOCH: Mapping[str, bool | str] = {
    "end epoch": True,
    "end epoch, nothing after it": "skip_epoch_completed",
}
_KINDS = (*SIGNALS, CLOCK, "interrupt", *_TERMINATE, *_END_EPOCH, "stop")


class Ballots:
    """Exchanges of what each rank was asked for, by name.

    Args:
        kinds: The names; the same on all ranks.
    """

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self._kinds = kinds
        self._world = get_world_size()
        self._exchange = Exchange(control_group(), len(kinds))

    def start(self, asked: set[str]) -> None:
        """Tell the others what this rank was asked for."""
        self._exchange.start([kind in asked for kind in self._kinds])

    def counts(self) -> dict[str, int]:
        """How many ranks were asked for each at the last exchange."""
        return dict(zip(self._kinds, self._exchange.result(), strict=True))

    def by_all(self) -> set[str]:
        """What all were asked for at the last exchange."""
        return {kind for kind, n in self.counts().items() if n == self._world}

    def by_some(self) -> set[str]:
        """What some were asked for, and not all, at the last exchange."""
        return {kind for kind, n in self.counts().items() if 0 < n < self._world}


class Council:
    """Lets a trainer's ranks heed the same requests at the same safe points.

    Args:
        heeded: What the loop heeds; only this class asks it for anything.
        stops: The run's.
        state: The run's.
    """

    def __init__(self, heeded: Requests, stops: Stops, state: RunState) -> None:
        self.asked = Requests()
        """What this rank is asked for by its handlers."""
        self.stop_reason: str | None = None
        """Why a handler of this rank wants training to stop."""
        self._heeded, self._stops, self._state = heeded, stops, state
        self._wishes: dict[str, tuple[Callable[[], bool], Callable[[], None]]] = {}
        self._ballots: Ballots | None = None
        self._interrupt: tuple[int | None] = (None,)
        self._reason = ""

    def wish(
        self, name: str, wants: Callable[[], bool], grant: Callable[[], None]
    ) -> None:
        """Let something be done on all ranks when one of them wants it.

        Args:
            name: The same on all ranks.
            wants: Asked at each safe point.
            grant: Called on all ranks at the same one.
        """
        if name not in self._wishes:  # else what was told last is still to be read
            self._ballots = None
        self._wishes[name] = (wants, grant)

    def agree(self) -> None:
        """At a safe point: hand to the loop what all ranks heed here."""
        if self._ballots is None:  # or the wishes are others
            self._ballots = Ballots((*_KINDS, *self._wishes))
        ballots = self._ballots
        due = ballots.by_some()  # of the safe point before this one
        asked = self._take(due)
        ballots.start(asked)
        if asked:
            due |= ballots.by_all()
        self._heed(due)

    def end(self) -> None:
        """The loop has ended: let a stop that came to one rank end all alike."""
        if self._ballots is not None:
            self._ballots.start(self._take(set()))
            told = self._ballots.counts()
            heed_stops(self._stops, {kind for kind, count in told.items() if count})
            self._ballots = None

    @property
    def wants_interrupt(self) -> bool:
        """Whether a handler of this rank has asked for an interrupt."""
        return self.asked.interrupt is not None

    def interrupt(self) -> None:
        """The ranks have agreed on an interrupt elsewhere: heed it."""
        self._heeded.interrupt = self.asked.interrupt or (None,)
        self._heeded.pending = True
        self.asked.interrupt = None

    def forget(self) -> None:
        """What was asked before a run began is nobody's."""
        self.asked = Requests()
        self.stop_reason = None

    def _take(self, due: set[str]) -> set[str]:
        """What this rank was asked for since the last exchange, and is not ``due``.

        What is due is heeded right now, for all who ask for it.
        """
        wishes = self._wishes.items()
        asked = {name for name, (wants, _) in wishes if name not in due and wants()}
        asked |= stops_noted(self._stops)
        mine = self.asked
        if mine.pending or self.stop_reason is not None:
            self.asked = Requests()
            if mine.interrupt is not None:
                self._interrupt = mine.interrupt
                asked.add("interrupt")
            asked |= {kind for kind, how in _TERMINATE.items() if how == mine.terminate}
            asked |= {kind for kind, how in _END_EPOCH.items() if how == mine.end_epoch}
            if self.stop_reason is not None:
                self._reason, self.stop_reason = self.stop_reason, None
                asked.add("stop")
        return asked - due

    def _heed(self, due: set[str]) -> None:
        requests = self._heeded
        heed_stops(self._stops, due)
        if self._stops.asked:
            requests.halt_for(None)
        if not due:
            return
        if "interrupt" in due:
            requests.interrupt, self._interrupt = self._interrupt, (None,)
        requests.terminate = _asked_for(_TERMINATE, due) or requests.terminate
        requests.end_epoch = _asked_for(_END_EPOCH, due) or requests.end_epoch
        if "stop" in due:
            self._state.stop_reason = self._reason or "another rank asked to stop"
            self._reason = ""
        for name, (_, grant) in self._wishes.items():
            if name in due:
                grant()
        requests.pending = True


def _asked_for(kinds: Mapping[str, bool | str], due: set[str]) -> bool | str:
    """How something is asked for; false if it is not."""
    return next((how for kind, how in kinds.items() if kind in due), False)


def stops_noted(stops: Stops) -> set[str]:
    """Names of what is to end the run from outside, as far as this rank knows."""
    noted = set()
    if stops.signal is None and stops.noted is not None:
        noted.add(signal.Signals(stops.noted).name)
    if not stops.agreed and stops.time_is_over:
        noted.add(CLOCK)
    return noted


def heed_stops(stops: Stops, told: set[str]) -> None:
    """Let a run end for what some ranks have noted."""
    for name, number in SIGNALS.items():
        if name in told and stops.signal is None:
            stops.signal = number
    if CLOCK in told:
        stops.agreed = True
    if stops.signal is not None:
        stops.agreed = True
