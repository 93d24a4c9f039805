"""What ``--profile-hooks`` measured: each handler's share of a run."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from attrs import frozen

from engine.report.lines import Note, as_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Handler", "read_handlers"]


@frozen
class Handler:
    """A handler of an event, over the process that was measured last.

    Args:
        mode: ``train``, ``val`` or ``test``: whose event it is.
        name: The handler.
        event: The event.
        calls: How often it ran.
        seconds: How long in all.
        share: Of the time of its mode, from 0 to 1.
    """

    mode: str
    name: str
    event: str
    calls: int
    seconds: float
    share: float


def read_handlers(text: str, where: str) -> tuple[Sequence[Handler], Sequence[Note]]:
    """The handlers of a ``timeline.json``, those that took longest first.

    Args:
        text: The file.
        where: Its name, for a note if it has another form than expected.

    >>> read_handlers("broken", "timeline.json")[1][0].where
    'timeline.json'
    """
    try:
        modes = json.loads(text)["modes"]
        found = [one for mode, told in modes.items() for one in _of_mode(mode, told)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return [], [Note(where, f"not what --profile-hooks writes, left out: {error}")]
    return sorted(found, key=lambda one: -one.seconds), []


def _of_mode(mode: str, told: Any) -> Iterator[Handler]:
    whole = as_number(told["seconds"]) or math.inf
    for one in told["handlers"]:
        seconds = as_number(one["seconds"]) or 0.0
        share = seconds / whole
        name, event = str(one["handler"]), str(one["event"])
        yield Handler(str(mode), name, event, int(one["calls"]), seconds, share)
