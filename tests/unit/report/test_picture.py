"""The picture for papers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from matplotlib.figure import Figure

from engine.errors import ReportError
from engine.report import read_runs
from engine.report.panels import panels
from tests.unit.report.test_page import toy

if TYPE_CHECKING:
    from pathlib import Path

_picture = pytest.importorskip("engine.report.picture", reason="needs matplotlib")
draw, draw_panel = _picture.draw, _picture.draw_panel


def test_a_picture_is_a_png_and_the_same_each_time(tmp_path: Path) -> None:
    """Of one run, and of two: nothing of the clock or the machine is in it."""
    runs = read_runs([toy(tmp_path / "one"), toy(tmp_path / "two", scale=2)])
    written = []
    for index in range(2):
        path = tmp_path / f"{index}.png"
        draw(runs, path)
        written.append(path.read_bytes())
    assert written[0].startswith(b"\x89PNG")
    assert written[0] == written[1]
    draw(runs[:1], tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes() != written[0]


def test_what_is_not_finite_is_seen(tmp_path: Path) -> None:
    """A run whose loss is nowhere a number has marks on the axis."""
    written = []
    for name, scale in (("good", 1.0), ("broken", math.nan)):
        (run,) = read_runs([toy(tmp_path / name / "toy", scale=scale)])
        (loss,) = [one for one in panels([run]) if one.name == "loss"]
        axes = Figure().subplots()
        draw_panel(axes, loss, [run])
        written.append([one.get_marker() for one in axes.lines])
    assert written == [["."], [".", "^"]]


def test_a_picture_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    """A folder stands where the file should."""
    with pytest.raises(ReportError, match="cannot be written"):
        draw(read_runs([toy(tmp_path / "toy")]), tmp_path)
