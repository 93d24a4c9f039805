"""Where the processes of a run meet, and how those of one start find each other there.

Torchrun keeps one store through all its restarts, and machines do not number these
alike: only that of the failed rank counts one. What dead processes left there, such as
addresses, must not be taken for that of living ones. So each process comes with a name
that no other has; all answer to rank 0's, and it numbers the meeting of those that did.
Who has answered to a rank 0 that is dead does so again when another one comes.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import frozen
from torch import distributed

from engine.errors import ConfigError, amount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.distributed.distributed_c10d import Store

    from engine.dist.place import Place

__all__ = [
    "MEETING",
    "Meeting",
    "agent_has_store",
    "apart",
    "connect",
    "join",
    "making_a_group",
    "restarts",
]

MEETING = timedelta(minutes=10)  # for all machines of a job to start


@frozen
class Meeting:
    """All processes of one start, and no other.

    Args:
        number: From 1, in the store where they met.
        restarted: Whether a launcher started them anew, after some had failed.
    """

    number: int = 1
    restarted: bool = False

    def store(self, whole: Store, name: str) -> Store:
        """What only those of this meeting see of a store, under a name."""
        return apart(whole, f"engine/{self.number}/{name}")


def restarts() -> int:
    """How often this machine's torchrun has counted a restart."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def agent_has_store() -> bool:
    """Whether torchrun keeps the store, which then outlives all ranks."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def apart(store: Store, prefix: str) -> Store:
    """A part of a store, of its own."""
    return distributed.PrefixStore(prefix, store)  # type: ignore[attr-defined]  # documented


def connect(place: Place, timeout: timedelta) -> Store:
    """A way of its own to where all ranks meet.

    Args:
        place: This process's place.
        timeout: How long the others may take.

    Raises:
        ConfigError: The port is in use, or rank 0 cannot be reached there.
    """
    hosts = place.rank == 0 and not agent_has_store()
    if hosts:
        _allow_connections(place.world_size)
    try:
        return distributed.TCPStore(  # type: ignore[attr-defined]  # documented
            place.address,
            place.port,
            place.world_size,
            is_master=hosts,
            timeout=timeout,
            wait_for_workers=False,
            multi_tenant=True,  # a process may come here more than once
        )
    except (RuntimeError, OSError) as error:
        raise ConfigError(_no_way(place, error)) from error


@contextmanager
def making_a_group() -> Iterator[None]:
    """Around torch's making of a group: say what to do if gloo's ranks do not connect.

    Raises:
        ConfigError: They do not; mostly their addresses are those of loopbacks.
    """
    try:
        yield
    except RuntimeError as error:
        if "connectFullMesh" not in str(error):
            raise
        host, first = socket.gethostname(), str(error).partition("\n")[0]
        with suppress(OSError):
            host += f" ({socket.gethostbyname(host)})"
        message = (
            f"this rank on {host} and others do not reach each other: {first}. gloo "
            "takes the address of the host's name: if machines reach each other by "
            "another one, name its network interface on each of them, such as "
            "GLOO_SOCKET_IFNAME=eth0 (nccl: NCCL_SOCKET_IFNAME)"
        )
        raise ConfigError(message) from error


def join(
    store: Store, place: Place, *, kept: bool, timeout: timedelta = MEETING
) -> Meeting:
    """Wait for all ranks that were started with this one.

    Args:
        store: Where they come to.
        place: This process's place.
        kept: Whether others may have come before, and be dead now. Else two that claim
            one place are of two runs.
        timeout: How long the others may take.

    Returns:
        The same on all ranks.

    Raises:
        ConfigError: Some rank does not come, or those of another run are here.
    """
    meetings = apart(store, "engine/meetings")
    name = f"{socket.gethostname()}/{os.getpid()}/{time.time_ns()}"
    until = time.monotonic() + timeout.total_seconds()
    try:
        if not kept:
            _claim(meetings, place, name)
        if place.rank == 0:
            return _number_those_who_answer(meetings, name, place, until)
        return _answer(meetings, name, place, until)
    except RuntimeError as error:
        raise ConfigError(_no_way(place, error)) from error


def _claim(store: Store, place: Place, name: str) -> None:
    """Take a place that nobody had.

    Raises:
        ConfigError: Somebody has it: two runs meet here.
    """
    world, process = str(place.world_size), name.rpartition("/")[0]
    for key, mine in (("world", world), (f"rank/{place.rank}", process)):
        if store.compare_set(key, "", mine).decode() != mine:
            raise ConfigError(_in_use(place.port, place.address))


def _number_those_who_answer(
    store: Store, name: str, place: Place, until: float
) -> Meeting:
    """What rank 0 does."""
    store.set("rank0", name)
    store.set(f"{name}/0", _signed(name))
    keys = [f"{name}/{rank}" for rank in range(place.world_size)]
    for _ in _looks(until):
        if store.check(keys):
            break
    else:
        raise ConfigError(_who_is_missing(store, name, place))
    signed = [json.loads(each) for each in store.multi_get(keys)]
    number = store.add("count", 1)
    restarted = number > 1 or any(count for _, count in signed)
    told = json.dumps([number, restarted])
    store.multi_set([f"{each}/told" for each, _ in signed], [told] * len(signed))  # type: ignore[attr-defined]  # documented
    return Meeting(number, restarted)


def _answer(store: Store, name: str, place: Place, until: float) -> Meeting:
    """What the others do."""
    answered = None
    for _ in _looks(until):
        if store.check([f"{name}/told"]):
            return Meeting(*json.loads(store.get(f"{name}/told")))
        first = store.get("rank0").decode() if store.check(["rank0"]) else None
        if first != answered:
            store.set(f"{first}/{place.rank}", _signed(name))
            answered = first
    raise ConfigError(_who_is_missing(store, answered, place))


def _signed(name: str) -> str:
    return json.dumps([name, restarts()])


def _looks(until: float) -> Iterator[None]:
    """When to look again; a look costs a little of who keeps the store."""
    pause = 0.01
    while time.monotonic() < until:
        yield
        time.sleep(pause)
        pause = min(1.5 * pause, 0.25)


def _in_use(port: int, host: str) -> str:
    """What to tell of a port that is another's."""
    return (
        f"MASTER_PORT={port}: another program on {host} uses this port, on which rank "
        "0 lets the others meet. Set MASTER_PORT to a free one, the same for all ranks"
    )


def _who_is_missing(store: Store, first: str | None, place: Place) -> str:
    """Why ranks that can reach the store do not meet, for a message."""
    ranks = range(place.world_size)
    missing = [rank for rank in ranks if not store.check([f"{first}/{rank}"])]
    if first is None:
        missing = [0]
    who = (
        f"did not come: {', '.join(map(str, missing))}"
        if missing
        else "those that came are gone"
    )
    host = socket.gethostname()
    return (
        f"rank {place.rank} on {host} waited at {place.address}:{place.port} for the "
        f"{amount(place.world_size, 'rank')} of this run: {who}. What those print may "
        "tell why; each must be started, with the same MASTER_ADDR and MASTER_PORT"
    )


def _allow_connections(world_size: int) -> None:
    """Let this process have as many files open as all ranks come with.

    Each has a way to the group's store and one to the board, and gloo adds one for each
    pair of ranks and each group.
    """
    if sys.platform == "win32":
        return
    import resource

    wanted = 4 * world_size + 1024
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _no_way(place: Place, error: Exception) -> str:
    """Why a rank does not come to where the others meet, for a message."""
    host = socket.gethostname()
    if "EADDRINUSE" in str(error) or "address already in use" in str(error):
        return _in_use(place.port, host)
    first = str(error).partition("\n")[0]
    return (
        f"rank {place.rank} on {host} does not reach rank 0 at "
        f"{place.address}:{place.port}: {first}. MASTER_ADDR and MASTER_PORT say where "
        "that is; a firewall may be between"
    )
