"""The command ``engine report``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from tests.unit.report.test_page import toy

if TYPE_CHECKING:
    from pathlib import Path

RUNNER = CliRunner()


def call(*arguments: str | Path) -> tuple[int, str]:
    """Exit code and output."""
    done = RUNNER.invoke(app, ["report", *map(str, arguments)])
    return done.exit_code, done.output


def test_a_page_is_written_into_the_work_dir(tmp_path: Path) -> None:
    """And the command says how the run went, and where the page is."""
    folder = toy(tmp_path / "toy")
    code, output = call(folder)
    assert code == 0, output
    assert output == (
        f"Finished: 2 epochs, 8 iterations.\n  report      {folder / 'report.html'}\n"
    )
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    assert call(folder) == (code, output)  # its own page is no part of the run


def test_of_several_runs_it_is_written_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or where ``-o`` says, whose folder is made."""
    monkeypatch.chdir(tmp_path)
    folders = [toy(tmp_path / "one"), toy(tmp_path / "two")]
    assert call(*folders)[0] == 0
    assert (tmp_path / "report.html").is_file()
    assert call(*folders, "-o", "some/where.html")[0] == 0
    assert (tmp_path / "some" / "where.html").is_file()


def test_a_picture_alone_or_with_a_page(tmp_path: Path) -> None:
    """``--png`` asks for the picture; with ``-o`` for both."""
    pytest.importorskip("matplotlib", reason="the extra plot draws it")
    folder, picture = toy(tmp_path / "toy"), tmp_path / "toy.png"
    assert call(folder, "--png", picture)[0] == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert not (folder / "report.html").exists()
    assert call(folder, "--png", picture, "-o", tmp_path / "toy.html")[0] == 0
    assert (tmp_path / "toy.html").is_file()


def test_without_matplotlib_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page needs none."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "engine.report.picture", raising=False)
    folder = toy(tmp_path / "toy")
    code, output = call(folder, "--png", tmp_path / "toy.png")
    assert code == 2
    assert "pip install 'ignite-runner[plot]'" in output
    assert call(folder)[0] == 0


def test_a_work_dir_without_a_run_is_one_error(tmp_path: Path) -> None:
    """Exit code 2, and nothing is written."""
    code, output = call(tmp_path)
    assert code == 2
    assert "holds no run" in output
    assert list(tmp_path.iterdir()) == []


def test_notes_and_bad_files_are_told_on_the_terminal(tmp_path: Path) -> None:
    """Who reads no page still learns of them."""
    folder = toy(tmp_path / "toy")
    (folder / "epoch_1.pth").write_bytes(b"")
    with next(folder.glob("*/*.log.jsonl")).open("a") as log:
        log.write('{"half')
    code, output = call(folder)
    assert code == 0
    assert "half written" in output
    assert "BAD         epoch_1.pth: the file is empty" in output
    assert "BAD" not in call(folder, "--no-verify")[1]


def test_a_picture_is_a_png_by_its_name_too(tmp_path: Path) -> None:
    """Nobody gets a PNG that is called an SVG."""
    code, output = call(toy(tmp_path / "toy"), "--png", tmp_path / "toy.svg")
    assert code != 0
    assert "it writes a PNG; give a name that ends in .png" in output
    assert not (tmp_path / "toy.svg").exists()
