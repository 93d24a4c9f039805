"""The drawing of the state machine in the docs is the table in the code."""

from __future__ import annotations

import re
from pathlib import Path

from engine.state import NEXT, Phase

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "state-machine.md"

BLOCK = re.compile(r"(?ms)^```mermaid\s*\nstateDiagram-v2\s*\n(.*?)^```")
ARROW = re.compile(r"^\s*(\S+)\s*-->\s*([^\s:]+)\s*(?::.*)?$")
OUTSIDE = "[*]"  # where mermaid lets a machine begin and end; no phase of ours


def drawn(text: str) -> list[tuple[str, str]]:
    """The arrows of the one state diagram on a page, without the page's ``[*]``."""
    (diagram,) = BLOCK.findall(text)
    found = filter(None, map(ARROW.match, diagram.splitlines()))
    arrows = [(match[1], match[2]) for match in found]
    return [arrow for arrow in arrows if OUTSIDE not in arrow]


def test_the_drawing_shows_each_move_of_the_table_once() -> None:
    """Each arrow is a move, each move an arrow, and none is drawn twice."""
    assert PAGE.is_file(), f"{PAGE} is missing: it draws engine.state.NEXT"
    arrows = drawn(PAGE.read_text(encoding="utf-8"))
    moves = {(here.name, there.name) for here in NEXT for there in NEXT[here]}
    assert sorted(arrows) == sorted(moves)


def test_the_table_has_a_row_for_each_phase() -> None:
    """No phase lacks its row, not even a final one."""
    assert set(NEXT) == set(Phase)


def test_the_page_is_read_as_mermaid_reads_it() -> None:
    """Arrows with and without a label count; the outside and other text do not."""
    page = """
Some text: READY --> NOWHERE

```mermaid
stateDiagram-v2
    [*] --> READY
    READY --> TRAINING: train()
    TRAINING --> FINISHED
    note right of FINISHED: a note
```
"""
    assert drawn(page) == [("READY", "TRAINING"), ("TRAINING", "FINISHED")]
