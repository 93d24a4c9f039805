"""Where ranks leave word for each other when their group is broken.

A rank that fails closes its connections, and the others' collectives end with
"Connection closed by peer", which names nobody. So each rank has a second way to where
the group met: a rank that fails leaves there what happened, and one whose collective
breaks reads it. Where nobody left word, those that live sign, and who did not is named.

That place is torchrun's store where that started the ranks; a file where ``--nproc``
did, which also notes there who was killed; else rank 0's store: then, if that cannot be
reached, rank 0 is gone.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from attrs import define, field, frozen
from torch import distributed

from engine.dist.context import get_default_group
from engine.dist.meeting import MEETING, Meeting, agent_has_store, apart, connect, join

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.distributed import ProcessGroup
    from torch.distributed.distributed_c10d import Store

    from engine.dist.place import Place

__all__ = [
    "RANKS_FOLDER",
    "Board",
    "Report",
    "attach",
    "board_of_group",
    "open_board",
]

RANKS_FOLDER = "ENGINE_RANKS_FOLDER"
"""The variable by which ``--nproc`` names the folder that its ranks share."""

ANSWER = timedelta(seconds=10)  # of a store that lives
SIGN_SECONDS = 5.0
"""How long who lives has to sign, once a collective broke and nobody left word."""

# A process has one way to each store, and one board for its group of all ranks.
_OPEN: WeakValueDictionary[Place, Board] = WeakValueDictionary()
_OF_GROUP: WeakKeyDictionary[ProcessGroup, Board] = WeakKeyDictionary()


@frozen(kw_only=True)
class Report:
    """What a rank left before it ended.

    Args:
        rank: Which one.
        host: Its machine.
        line: What happened, in a line.
        lost: Whether it ended because it lost another one.
        killed: Whether its launcher left this, for it could not.
    """

    rank: int
    host: str
    line: str
    lost: bool = False
    killed: bool = False


class _Way:
    """A way to a store: once that is gone, it is not tried again, for torch would warn.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._gone: RuntimeError | None = None

    def add(self, key: str, amount: int) -> int:
        """Count, and tell the sum."""
        found: int = self._ask(self._store.add, key, amount)
        return found

    def set(self, key: str, value: str) -> None:
        """Leave a value."""
        self._ask(self._store.set, key, value)

    def get(self, key: str) -> bytes:
        """A value that is there."""
        found: bytes = self._ask(self._store.get, key)
        return found

    def check(self, keys: list[str]) -> bool:
        """Whether all these are there."""
        found: bool = self._ask(self._store.check, keys)
        return found

    def _ask(self, method: Callable[..., Any], *arguments: Any) -> Any:
        if self._gone is not None:
            raise self._gone
        try:
            return method(*arguments)
        except RuntimeError as error:
            self._gone = error
            raise


@define(eq=False, kw_only=True)
class Board:
    """The board of one run, as one of its ranks sees it.

    Args:
        store: Where the ranks met.
        rank: This process's.
        world_size: All of them.
        meeting: Those that were started together.
        host: This machine.
        on_main: Whether the store is rank 0's, and ends with it.
        ends: A file in which a launcher notes ranks that a signal ended.
    """

    store: _Way = field(converter=_Way)
    rank: int
    world_size: int
    meeting: Meeting = field(factory=Meeting)
    host: str = field(factory=socket.gethostname)
    on_main: bool = True
    ends: Path | None = None
    _reported: bool = field(default=False, init=False)
    _said: Counter[str] = field(factory=Counter, init=False)

    def sign_in(self) -> None:
        """Say on which machine this rank is."""
        self.store.set(f"host/{self.rank}", self.host)

    def host_of(self, rank: int) -> str:
        """The machine of a rank, as far as that said."""
        key = f"host/{rank}"
        return self.store.get(key).decode() if self.store.check([key]) else "?"

    def report(self, line: str, *, lost: bool = False) -> None:
        """Leave word of what ended this rank; the first word stays.

        A store that is gone takes none: there is nobody to read it.

        Args:
            line: What happened.
            lost: Whether it ended because it lost another one.
        """
        if self._reported:
            return
        self._reported = True
        word = json.dumps([self.rank, self.host, line, lost])
        with suppress(RuntimeError):
            number = self.store.add("reports", 1)
            self.store.set(f"report/{number}", word)

    def reports(self) -> list[Report]:
        """What ranks have left until now, in order."""
        count = self.store.add("reports", 0)
        words = [json.loads(self.store.get(f"report/{n + 1}")) for n in range(count)]
        names = ("rank", "host", "line", "lost")
        return [Report(**dict(zip(names, word, strict=True))) for word in words]

    def killed(self) -> list[Report]:
        """The ranks of which a launcher saw that a signal ended them."""
        if self.ends is None or not self.ends.exists():
            return []
        words = [line.split() for line in self.ends.read_text().splitlines()]
        return [
            Report(
                rank=int(rank), host=self.host, line=f"killed by {name}", killed=True
            )
            for rank, name in words
        ]

    def who_failed(self) -> tuple[list[Report], list[int]]:
        """Those whose failure broke a collective; called where one broke.

        Returns:
            What is known of those that failed by themselves; if that is nothing, the
            ranks that gave no sign for some seconds.
        """
        self.store.set(f"alive/{self.rank}", "")
        self.store.add("alive", 1)
        until = time.monotonic() + SIGN_SECONDS
        while time.monotonic() < until:
            found = [each for each in self.reports() if not each.lost] + self.killed()
            if found:
                return found, []
            if self.store.add("alive", 0) >= self.world_size:
                break
            time.sleep(0.05)
        ranks = range(self.world_size)
        return [], [n for n in ranks if not self.store.check([f"alive/{n}"])]

    def is_first(self, line: str) -> bool:
        """Whether no other rank has said this already; for what all ranks would say.

        What one rank says for the n-th time is compared with what others say for the
        n-th time.
        """
        self._said[line] += 1
        try:
            return self.store.add(f"said/{self._said[line]}/{line}", 1) == 1
        except RuntimeError:  # rank 0 is gone with the store: one of the rest speaks
            return self.rank <= 1 or not self.on_main

    def stay(self) -> None:
        """Let the others read what this rank has left, if they cannot without it."""
        if self.rank or not self.on_main:
            return
        until = time.monotonic() + SIGN_SECONDS
        while time.monotonic() < until and len(self.reports()) < self.world_size:
            time.sleep(0.05)


def open_board(place: Place) -> Board:
    """The board of those who were started together; made where they are to meet.

    Args:
        place: This process's place.

    Raises:
        ConfigError: The port is in use, rank 0 cannot be reached there, or some rank
            does not come.
    """
    board = _OPEN.get(place)
    if board is None:
        board = _OPEN[place] = _connect(place)
    return board


def _connect(place: Place) -> Board:
    folder = os.environ.get(RANKS_FOLDER)
    kept = agent_has_store()
    store: Store
    if folder is None:
        store = connect(place, MEETING)
        meeting = join(store, place, kept=kept)
    else:  # which nobody else knows of
        store = distributed.FileStore(f"{folder}/board", place.world_size)  # type: ignore[attr-defined]  # documented
        meeting = Meeting()
    store.set_timeout(ANSWER)
    board = Board(
        store=meeting.store(store, "board"),
        rank=place.rank,
        world_size=place.world_size,
        meeting=meeting,
        on_main=folder is None and not kept,
        ends=None if folder is None else Path(folder) / "ends",
    )
    board.sign_in()
    return board


def attach(board: Board) -> None:
    """Let the group of all ranks have a board."""
    group = get_default_group()
    assert group is not None, "there is one, or it needs no board"
    _OF_GROUP[group] = board


def board_of_group() -> Board | None:
    """The board of the group of all ranks; ``None`` without a group."""
    group = get_default_group()
    if group is None:
        return None
    if group not in _OF_GROUP:
        _OF_GROUP[group] = _board_of_others(group)
    return _OF_GROUP[group]


def _board_of_others(group: Any) -> Board:
    """A board for a group that somebody else made, in the store where it met."""
    # Torch's own code asks for it so; there is no public way.
    store = distributed.distributed_c10d._get_default_store()  # noqa: SLF001
    board = Board(
        store=apart(store, "engine"),
        rank=group.rank(),
        world_size=group.size(),
    )
    board.sign_in()
    return board
