"""Which points a service was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.visualization.sent import Sent

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_sent_is_asked_of_once(tmp_path: Path) -> None:
    """A second point of that name and step is a new one."""
    sent = Sent(tmp_path / "a" / "x.sent")
    state = sent.state_dict()
    assert sent.fresh(["loss", "lr"], 1) == ["loss", "lr"]
    sent.note(["loss", "lr"], 1)
    sent.close()
    again = Sent(tmp_path / "a" / "x.sent")
    again.load_state_dict(state)
    assert again.fresh(["loss"], 2) == ["loss"]
    assert again.fresh(["new", "lr"], 1) == ["new"]
    assert again.fresh(["lr", "loss"], 1) == ["lr"]
    assert again.fresh(["loss"], 1) == ["loss"]


def test_half_a_line_is_forgotten(tmp_path: Path) -> None:
    """Its process was killed while writing: the point may be sent again."""
    path = tmp_path / "x.sent"
    sent = Sent(path)
    state = sent.state_dict()
    sent.note(["loss"], 1)
    sent.close()
    with path.open("a") as file:
        file.write('[2, "lo')
    again = Sent(path)
    again.load_state_dict(state)
    assert again.fresh(["loss"], 1) == []
    assert again.fresh(["loss"], 2) == ["loss"]
    again.note(["loss"], 2)
    again.close()
    assert path.read_text() == '[1, "loss"]\n[2, "loss"]\n'


def test_a_file_that_is_gone_says_nothing(tmp_path: Path) -> None:
    """Nor does one that was never kept."""
    sent = Sent(tmp_path / "x.sent")
    sent.note(["loss"], 1)
    sent.close()
    state = sent.state_dict()
    (tmp_path / "x.sent").unlink()
    sent.load_state_dict(state)
    assert sent.fresh(["loss"], 1) == ["loss"]
    nowhere = Sent(None)
    nowhere.note(["loss"], 1)
    assert nowhere.state_dict() == {"size": 0, "ahead": []}


def test_what_was_not_asked_of_again_is_remembered(tmp_path: Path) -> None:
    """A run that is resumed twice before it comes that far still knows."""
    path = tmp_path / "x.sent"
    sent = Sent(path)
    early = sent.state_dict()
    for step in (1, 2, 3):
        sent.note(["loss"], step)
    sent.load_state_dict(early)
    assert sent.fresh(["loss"], 1) == []
    late = sent.state_dict()
    assert late["ahead"] == [["loss", 2, 1], ["loss", 3, 1]]
    sent.load_state_dict(late)
    assert [sent.fresh(["loss"], step) for step in (2, 3, 4)] == [[], [], ["loss"]]
