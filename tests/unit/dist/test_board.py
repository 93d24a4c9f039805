"""What ranks leave for each other, with all ranks in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from torch import distributed

from engine.dist import board as boards
from engine.dist.board import Board, Report

if TYPE_CHECKING:
    from pathlib import Path

WORLD = 3


@pytest.fixture
def ranks(monkeypatch: pytest.MonkeyPatch) -> list[Board]:
    """The board as each rank sees it; nobody is waited for."""
    monkeypatch.setattr(boards, "SIGN_SECONDS", 0.01)
    store = distributed.HashStore()  # type: ignore[attr-defined]  # documented
    found = [
        Board(store=store, rank=rank, world_size=WORLD, host=f"host{rank}")
        for rank in range(WORLD)
    ]
    for one in found:
        one.sign_in()
    return found


def test_who_leaves_word_is_named(ranks: list[Board]) -> None:
    """And who left it because of another's failure is not."""
    ranks[2].report("RankFailedError: rank 1 failed", lost=True)
    ranks[1].report("ValueError: it broke")
    ranks[1].report("a second word")
    failed = Report(rank=1, host="host1", line="ValueError: it broke")
    assert ranks[0].who_failed() == ([failed], [])
    assert [each.rank for each in ranks[0].reports()] == [2, 1]


def test_who_gives_no_sign_is_named(ranks: list[Board]) -> None:
    """Where nobody left word, by those who live."""
    ranks[0].who_failed()
    assert ranks[2].who_failed() == ([], [1])
    assert ranks[2].host_of(1) == "host1"
    assert ranks[1].who_failed() == ([], []), "all live: they lost each other"


def test_who_was_killed_is_known_from_its_launcher(
    ranks: list[Board], tmp_path: Path
) -> None:
    """Which notes it in a file."""
    ranks[0].ends = tmp_path / "ends"
    assert ranks[0].killed() == []
    ranks[0].ends.write_text("2 SIGKILL\n")
    (found,), silent = ranks[0].who_failed()
    assert (found.rank, found.line, found.killed) == (2, "killed by SIGKILL", True)
    assert silent == []


def test_what_all_say_is_said_once(ranks: list[Board]) -> None:
    """As often as one of them says it."""
    said = [one.is_first("odd") for one in ranks]
    assert said == [True, False, False]
    assert ranks[1].is_first("odd"), "a second time"
    assert not ranks[0].is_first("odd")
    assert ranks[2].is_first("something else")


def test_who_has_the_store_stays_until_all_have_read(
    ranks: list[Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who read what it left ends too, and leaves word of it."""
    monkeypatch.setattr(boards, "SIGN_SECONDS", 60)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        ranks[len(waits)].report("RankFailedError: rank 0 failed", lost=True)

    monkeypatch.setattr("engine.dist.board.time.sleep", wait)
    ranks[0].report("ValueError: it broke")
    ranks[1].stay()
    assert not waits, "only rank 0 has it"
    ranks[0].stay()
    assert len(waits) == 2
    ranks[0].on_main = False
    ranks[0].stay()
    assert len(waits) == 2


class Gone:
    """A store whose process has ended."""

    def __init__(self) -> None:
        self.asked = 0

    def set(self, *_: object) -> None:
        """It fails."""
        self.asked += 1
        message = "Broken pipe"
        raise RuntimeError(message)

    add = get = check = set


def test_a_store_that_is_gone_is_asked_once() -> None:
    """What a rank would leave there is lost, and one of the others speaks for all."""
    store = Gone()
    found = [Board(store=store, rank=rank, world_size=3) for rank in (1, 2)]  # type: ignore[arg-type]  # a stand-in
    for one in found:
        one.report("ValueError: it broke")
        with pytest.raises(RuntimeError, match="Broken pipe"):
            one.who_failed()
    assert [one.is_first("a rank is lost") for one in found] == [True, False]
    assert store.asked == 2
