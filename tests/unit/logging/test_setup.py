"""Loggers of runs, from the call to what is written."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from engine.errors import ConfigError
from engine.logging import build_logger, close_logger

if TYPE_CHECKING:
    from pathlib import Path


def records(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, each of which must be strict JSON."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    lines = path.read_text(encoding="ascii").split("\n")
    assert lines.pop() == ""
    return [json.loads(line, parse_constant=refuse) for line in lines]


def test_an_event_goes_to_the_console_and_to_the_file(tmp_path: Path) -> None:
    """People get time, level, event and keys; programs get all that is bound too."""
    console, path = io.StringIO(), tmp_path / "a" / "b" / "run.log.jsonl"
    log = build_logger("toy", console=console, json_path=path, host="h1")
    log.info("checkpoint_saved", iteration=40)
    close_logger(log)
    [record] = records(path)
    time = record.pop("timestamp")
    assert record == {
        "level": "info",
        "event": "checkpoint_saved",
        "host": "h1",
        "run": "toy",
        "rank": 0,
        "iteration": 40,
    }
    shown = f"{time[:10]} {time[11:19]} INFO  checkpoint_saved iteration=40\n"
    assert console.getvalue() == shown


def test_the_key_line_is_for_the_console_alone(tmp_path: Path) -> None:
    """``line`` replaces event and keys there and is left out of the file."""
    console, path = io.StringIO(), tmp_path / "run.jsonl"
    log = build_logger("toy", console=console, json_path=path)
    log.info("train", line="Epoch(train) [3][20/22]  lr: 0.1", lr=0.1)
    close_logger(log)
    assert console.getvalue().endswith(" INFO  Epoch(train) [3][20/22]  lr: 0.1\n")
    assert "line" not in records(path)[0]
    assert records(path)[0]["lr"] == 0.1


def test_two_loggers_share_nothing(tmp_path: Path) -> None:
    """Interleaved loggers keep their levels, consoles, files and bound keys apart."""
    configured = structlog.get_config().copy()
    consoles = io.StringIO(), io.StringIO()
    paths = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first = build_logger("a", console=consoles[0], json_path=paths[0], rank=0)
    second = build_logger(
        "b", level="WARNING", console=consoles[1], json_path=paths[1], rank=1
    )
    for step in range(3):
        first.info("step", step=step)
        second.info("step", step=step)
        second.warning("odd", step=step)
    close_logger(first)
    second.warning("after the other was closed")
    close_logger(second)
    assert [(r["run"], r["event"], r["rank"]) for r in records(paths[0])] == [
        ("a", "step", 0)
    ] * 3
    assert [(r["run"], r["event"], r["rank"]) for r in records(paths[1])] == [
        ("b", "odd", 1),
        ("b", "odd", 1),
        ("b", "odd", 1),
        ("b", "after the other was closed", 1),
    ]
    assert "odd" not in consoles[0].getvalue()
    assert "step=" in consoles[0].getvalue()
    assert consoles[1].getvalue().count("\n") == 4
    assert structlog.get_config() == configured


def test_a_bound_child_writes_to_the_same_places(tmp_path: Path) -> None:
    """``bind`` adds keys, shown on the console as they are not on each line."""
    console, path = io.StringIO(), tmp_path / "run.jsonl"
    log = build_logger("toy", console=console, json_path=path)
    child = log.bind(part="loader")
    child.info("opened")
    log.info("other")
    close_logger(child)
    assert [r.get("part") for r in records(path)] == ["loader", None]
    assert "opened part=loader\n" in console.getvalue()


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("DEBUG", ["debug", "info", "warning", "error", "critical"]),
        ("warning", ["warning", "error", "critical"]),
        (40, ["error", "critical"]),
    ],
)
def test_levels_below_the_lowest_are_dropped(
    level: str | int, written: list[str], tmp_path: Path
) -> None:
    """A level is a name in any case, or its number."""
    path = tmp_path / "run.jsonl"
    log = build_logger("toy", level=level, console=io.StringIO(), json_path=path)
    for name in ("debug", "info", "warning", "error", "critical"):
        getattr(log, name)("said")
    close_logger(log)
    assert [record["level"] for record in records(path)] == written


@pytest.mark.parametrize("level", ["INFOO", "", 25, 0, None])
def test_an_unknown_level_names_those_allowed(level: Any) -> None:
    """The message has what was given and the five levels."""
    expected = f"log_level: no level is called {level!r}.* DEBUG .10., INFO .20., WARN"
    with pytest.raises(ConfigError, match=expected):
        build_logger("toy", level=level)


def test_a_level_that_is_nearly_right_gets_a_suggestion() -> None:
    """The nearest name is found in any case."""
    with pytest.raises(ConfigError, match="Did you mean 'WARNING'"):
        build_logger("toy", level="warnin")


@pytest.mark.parametrize("rank", [1, 300])
def test_other_ranks_print_only_what_is_loud(rank: int, tmp_path: Path) -> None:
    """Warnings and worse carry the rank; the file has every line."""
    console, path = io.StringIO(), tmp_path / "run.jsonl"
    log = build_logger("toy", console=console, json_path=path, rank=rank)
    log.info("quiet")
    log.warning("loud")
    log.error("louder", line="a line")
    close_logger(log)
    shown = console.getvalue().splitlines()
    assert [line.split(maxsplit=2)[2] for line in shown] == [
        f"WARNING [rank {rank}] loud",
        f"ERROR [rank {rank}] a line",
    ]
    assert [record["event"] for record in records(path)] == ["quiet", "loud", "louder"]


def test_an_exception_is_rendered_in_both(tmp_path: Path) -> None:
    """The traceback follows the console's line and is one key in the file."""
    console, path = io.StringIO(), tmp_path / "run.jsonl"
    log = build_logger("toy", console=console, json_path=path)
    try:
        raise ValueError("no good")
    except ValueError:
        log.exception("failed", batch=3)
    close_logger(log)
    first, second, *_, last = console.getvalue().splitlines()
    assert first.endswith("ERROR failed batch=3")
    assert second == "Traceback (most recent call last):"
    assert last == "ValueError: no good"
    assert records(path)[0]["exception"].endswith("ValueError: no good")


def test_without_a_console_it_is_stderr_of_the_moment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``sys.stderr`` is read at each line, for progress bars that take its place."""
    log = build_logger("toy")
    log.info("before")
    stand_in = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stand_in)
    log.info("behind a progress bar")
    assert "before" in capsys.readouterr().err
    assert stand_in.getvalue().endswith("INFO  behind a progress bar\n")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("console", "no_colour", "coloured"),
    [
        (Terminal(), False, True),
        (Terminal(), True, False),
        (io.StringIO(), False, False),
    ],
)
def test_colours_are_for_terminals(
    console: io.StringIO,
    no_colour: bool,
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file gets none, nor does a terminal of someone who set NO_COLOR."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_colour:
        monkeypatch.setenv("NO_COLOR", "1")
    build_logger("toy", console=console).info("said")
    assert ("\x1b[32mINFO " in console.getvalue()) is coloured
    assert ("\x1b" in console.getvalue()) is coloured


def test_a_logger_without_lines_makes_no_file(tmp_path: Path) -> None:
    """The file and its folders come with the first line."""
    log = build_logger("toy", console=io.StringIO(), json_path=tmp_path / "a" / "b")
    log.debug("below the level")
    close_logger(log)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("folder", "it is a folder"),
        ("file/run.jsonl", "is a file, not a folder"),
        ("file/a/b/run.jsonl", "is a file, not a folder"),
    ],
)
def test_an_unwritable_file_is_told_when_the_logger_is_built(
    where: str, reason: str, tmp_path: Path
) -> None:
    """The message names the path and what is wrong with it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=f"{where}' cannot be written: .*{reason}"):
        build_logger("toy", json_path=tmp_path / where)


@pytest.mark.parametrize("inside", [True, False])
def test_a_place_without_permission_is_told(
    inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both a file and a folder that this user may not write are refused."""
    path = tmp_path / "run.jsonl"
    if inside:
        path.touch()
    # Tests run as root too, who may write everywhere.
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ConfigError, match=r"run.jsonl' cannot be written: this user"):
        build_logger("toy", json_path=path)


def test_closing_twice_and_closing_another_logger_are_allowed(tmp_path: Path) -> None:
    """A late line is still written, and does not keep the file open."""
    path = tmp_path / "run.jsonl"
    log = build_logger("toy", console=io.StringIO(), json_path=path)
    log.info("in time")
    close_logger(log)
    close_logger(log)
    log.info("late")
    moved = path.rename(tmp_path / "moved.jsonl")
    log.info("later")
    assert [record["event"] for record in records(moved)] == ["in time", "late"]
    assert [record["event"] for record in records(path)] == ["later"]
    close_logger(structlog.get_logger())
