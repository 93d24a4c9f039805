"""Where ranks leave word for each other when their group is broken.

A rank that fails closes its connections, and the others' collectives end with "Connection
closed by peer", which names nobody. So each rank has a second way to the store that the
group met in: a rank that fails leaves there what happened, and one whose collective
breaks reads it. Where nobody left word, those that live sign, and who did not is named.

The store is torchrun's where that started the ranks, else rank 0's: if it cannot be
reached, then rank 0 is gone.
"""

from __future__ import annotations

import json
import os
import socket
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from attrs import define, field, frozen
from torch import distributed

from engine.dist.context import get_default_group
from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.distributed import ProcessGroup
    from torch.distributed.distributed_c10d import Store

    from engine.dist.place import Place

__all__ = ["Board", "Report", "attach", "board_of_group", "open_board"]

MEETING = timedelta(minutes=10)  # for all machines of a job to start
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
        text: The same for the user: a message with its notes, or a traceback.
        lost: Whether it ended because it lost another one.
    """

    rank: int
    host: str
    line: str
    text: str
    lost: bool = False


@define(eq=False, kw_only=True)
class Board:
    """The board of one run, as one of its ranks sees it.

    Args:
        store: Where the ranks met.
        rank: This process's.
        world_size: All of them.
        host: This machine.
        own_store: Whether the store is rank 0's, and ends with it.
    """

    store: Store
    rank: int
    world_size: int
    host: str = field(factory=socket.gethostname)
    own_store: bool = True
    _reported: bool = field(default=False, init=False)
    _seen: dict[str, int] = field(factory=dict, init=False)

    def sign_in(self) -> None:
        """Say on which machine this rank is."""
        self.store.set(f"host/{self.rank}", self.host)

    def host_of(self, rank: int) -> str:
        """The machine of a rank, as far as that said."""
        key = f"host/{rank}"
        return self.store.get(key).decode() if self.store.check([key]) else "?"

    def report(self, line: str, text: str, *, lost: bool = False) -> None:
        """Leave word of what ended this rank; the first word stays.

        A store that is gone takes none: there is nobody to read it.
        """
        if self._reported:
            return
        self._reported = True
        word = json.dumps([self.rank, self.host, line, text, lost])
        try:
            number = self.store.add("reports", 1)
            self.store.set(f"report/{number}", word)
        except RuntimeError:
            self._reported = False

    def reports(self) -> list[Report]:
        """What ranks have left until now, in order."""
        count = self.store.add("reports", 0)
        words = [json.loads(self.store.get(f"report/{n + 1}")) for n in range(count)]
        names = ("rank", "host", "line", "text", "lost")
        return [Report(**dict(zip(names, word, strict=True))) for word in words]

    def who_failed(self) -> tuple[list[Report], list[int]]:
        """Those whose failure broke a collective; called where one broke.

        Returns:
            What ranks left that failed by themselves; if there is none, the ranks that
            gave no sign for some seconds.
        """
        self.store.set(f"alive/{self.rank}", "")
        self.store.add("alive", 1)
        until = time.monotonic() + SIGN_SECONDS
        while time.monotonic() < until:
            found = [each for each in self.reports() if not each.lost]
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
        number = self._seen[line] = self._seen.get(line, 0) + 1
        try:
            return self.store.add(f"said/{number}/{line}", 1) == 1
        except RuntimeError:  # rather twice than never
            return True

    def tell_once(self, tell: Callable[[list[Report]], None]) -> None:
        """Let one of the ranks that end tell what all of them left.

        Args:
            tell: Shows reports to the user.
        """
        try:
            if self.store.add("teller", 1) == 1:
                tell(self._wait_for_all())
                self.store.set("told", "")
            else:
                self.store.wait(["told"], timedelta(seconds=2 * SIGN_SECONDS))
        except RuntimeError as error:
            # Rank 0 is gone and the store with it, or who was to tell is. One of the
            # others speaks for all.
            if self.rank <= 1 or not self.own_store or "timeout" in str(error).lower():
                tell([])

    def _wait_for_all(self) -> list[Report]:
        until = time.monotonic() + SIGN_SECONDS / 2
        while time.monotonic() < until:
            found = self.reports()
            if len(found) >= self.world_size:
                break
            time.sleep(0.05)
        return self.reports()


def open_board(place: Place) -> Board:
    """The board of those who were started together; made where they are to meet.

    Args:
        place: This process's place.

    Raises:
        ConfigError: The port is in use, or rank 0 cannot be reached there.
    """
    board = _OPEN.get(place)
    if board is None:
        board = _OPEN[place] = _connect(place)
    return board


def _connect(place: Place) -> Board:
    agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    where = f"{place.address}:{place.port}"
    try:
        store = distributed.TCPStore(  # type: ignore[attr-defined]  # documented
            place.address,
            place.port,
            place.world_size,
            is_master=place.rank == 0 and not agent,
            timeout=MEETING,
            wait_for_workers=False,
            multi_tenant=True,  # the group of this process meets there too
        )
    except (RuntimeError, OSError) as error:
        host = socket.gethostname()
        if "EADDRINUSE" in str(error) or "address already in use" in str(error):
            message = (
                f"MASTER_PORT={place.port}: another program on {host} uses this port, "
                "on which rank 0 lets the others meet. Set MASTER_PORT to a free one, "
                "the same for all ranks"
            )
        else:
            first = str(error).partition("\n")[0]
            message = (
                f"rank {place.rank} on {host} does not reach rank 0 at {where}: "
                f"{first}. MASTER_ADDR and MASTER_PORT say where that is; a firewall "
                "may be between"
            )
        raise ConfigError(message) from error
    store.set_timeout(ANSWER)
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    board = Board(
        store=_apart(store, f"engine/{attempt}"),
        rank=place.rank,
        world_size=place.world_size,
        own_store=not agent,
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
        store=_apart(store, "engine"),
        rank=group.rank(),
        world_size=group.size(),
    )
    board.sign_in()
    return board


def _apart(store: Store, prefix: str) -> Store:
    return distributed.PrefixStore(prefix, store)  # type: ignore[attr-defined]  # documented
