"""How the processes of one start find each other, with all of them in this one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributed

from engine.dist import meeting as meetings
from engine.dist.meeting import Meeting, join
from engine.dist.place import Place
from engine.errors import ConfigError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

SOON, NOW = timedelta(seconds=20), timedelta(seconds=0.02)


def new_store() -> Store:
    """One that all threads share."""
    return distributed.HashStore()  # type: ignore[attr-defined]  # documented


def place(rank: int, world: int) -> Place:
    """That of one rank."""
    return Place(
        launcher="pytorch",
        rank=rank,
        world_size=world,
        local_rank=rank,
        local_size=world,
        address="host",
        port=29500,
    )


def start(store: Store, world: int) -> list[Meeting]:
    """What each rank of a start is told."""
    with ThreadPoolExecutor(world) as threads:
        found = [
            threads.submit(join, store, place(rank, world), kept=True, timeout=SOON)
            for rank in range(world)
        ]
        return [each.result() for each in found]


def start_some(store: Store, world: int, ranks: set[int]) -> None:
    """Let some ranks come that end before the rest does."""
    with ThreadPoolExecutor(world) as threads:
        for rank in ranks:
            threads.submit(join, store, place(rank, world), kept=True, timeout=NOW)


@given(
    starts=st.lists(
        st.tuples(st.integers(2, 4), st.sets(st.integers(0, 3), max_size=1)),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=20)
def test_only_those_of_one_start_meet(starts: list[tuple[int, set[int]]]) -> None:
    """Whoever came before them and died, before they met or after."""
    store, numbers = new_store(), [0]
    for world, dead in starts:
        start_some(store, world, {rank % world for rank in dead})
        found = start(store, world)
        assert len(set(found)) == 1, "all ranks are told the same"
        assert found[0].number > numbers[-1]
        assert found[0].restarted == (len(numbers) > 1)
        numbers.append(found[0].number)
        part = found[0].store(store, "group")
        assert not part.check(["address"]), "who left one is dead"
        part.set("address", "of one who will die")


@pytest.mark.parametrize("counts", [(0, 0), (0, 1), (1, 0), (2, 2)])
def test_a_restart_is_one_for_all_ranks(
    counts: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torchrun counts it only on the machine of the rank that failed."""
    told = list(counts)
    monkeypatch.setattr(meetings, "restarts", told.pop)
    assert start(new_store(), 2) == [Meeting(1, any(counts))] * 2


def test_who_does_not_come_is_named() -> None:
    """By those who wait."""
    store = new_store()
    start_some(store, 3, {0})
    with pytest.raises(ConfigError, match=r"rank 1 on .* did not come: 2\."):
        join(store, place(1, 3), kept=True, timeout=NOW)
    said = r"rank 0 on \S+ waited at host:29500 for the 3 ranks of this run: did not"
    with pytest.raises(ConfigError, match=rf"{said} come: 1, 2\."):
        join(store, place(0, 3), kept=True, timeout=NOW)
    with pytest.raises(ConfigError, match=r"rank 1 on .* did not come: 0\."):
        join(new_store(), place(1, 3), kept=True, timeout=NOW)


@pytest.mark.parametrize(("rank", "world"), [(1, 2), (2, 3)])
def test_those_of_another_run_are_turned_away(
    rank: int, world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where rank 0 has the store: its port is that of another run."""
    store = new_store()

    def come(rank: int, world: int, process: int) -> Meeting:
        monkeypatch.setattr("os.getpid", lambda: process)
        return join(store, place(rank, world), kept=False, timeout=NOW)

    with pytest.raises(ConfigError, match="did not come: 0"):
        come(1, 2, process=10)
    before = store.num_keys()
    with pytest.raises(ConfigError, match="MASTER_PORT=29500: another program on host"):
        come(rank, world, process=11)
    assert store.num_keys() == before
    with pytest.raises(ConfigError, match="did not come: 0"):
        come(1, 2, process=10)  # it may come again


def test_gloo_that_finds_no_way_is_explained() -> None:
    """Its own error names an address, and not whose or why."""
    said = "Gloo connectFullMesh failed with [pair.cc:152] timed out connecting"
    with (
        pytest.raises(ConfigError, match=r"\. gloo takes .*GLOO_SOCKET_IFNAME"),
        meetings.making_a_group(),
    ):
        raise RuntimeError(said)
    with pytest.raises(RuntimeError, match="another"), meetings.making_a_group():
        raise RuntimeError("another")
