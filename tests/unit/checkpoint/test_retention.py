"""Which checkpoints go."""

from __future__ import annotations

import pytest

from engine.checkpoint import choose

NAMES = ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("keep", "dropped"),
    [(-1, []), (1, ["a", "b", "c"]), (2, ["a", "b"]), (4, []), (9, [])],
)
def test_the_oldest_go_first(keep: int, dropped: list[str]) -> None:
    """So many of the newest stay; -1 keeps all."""
    assert choose(NAMES, keep=keep) == dropped


def test_nothing_saved_drops_nothing() -> None:
    """An empty list is fine."""
    assert choose([], keep=1) == []


def test_a_name_counts_once() -> None:
    """One that was saved again is one file."""
    assert choose(["a", "b", "b"], keep=2) == []
