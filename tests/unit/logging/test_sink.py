"""Files and consoles that fail, and what is written nevertheless."""

from __future__ import annotations

import gc
import io
import json
import warnings
from pathlib import Path

import pytest

from engine.logging import build_logger, close_logger


class Broken(io.StringIO):
    """A console whose reader is gone after the first line."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        if self.writes > 1:
            raise self.error
        return super().write(text)


def events(path: Path) -> list[str]:
    """The events of a file of JSON lines."""
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    "error",
    [BrokenPipeError("reader is gone"), ValueError("I/O on closed file"), OSError(5)],
)
def test_a_console_that_is_gone_ends_no_run(error: Exception, tmp_path: Path) -> None:
    """The file says so once, and the console is left alone from then on."""
    console, path = Broken(error), tmp_path / "run.jsonl"
    log = build_logger("toy", console=console, json_path=path)
    for number in range(4):
        log.info("e%d", number)
    close_logger(log)
    assert events(path) == ["e0", "e1", "console_closed", "e2", "e3"]
    said = json.loads(path.read_text().splitlines()[2])
    assert (said["level"], said["run"], said["error"]) == (
        "warning",
        "toy",
        repr(error),
    )
    assert console.writes == 2


def test_a_console_that_is_gone_needs_no_file() -> None:
    """Without a file there is nobody left to tell."""
    console = io.StringIO()
    log = build_logger("toy", console=console)
    console.close()
    log.info("said to nobody")
    log.info("again")


def test_a_console_that_lacks_a_letter_is_not_gone() -> None:
    """What the console's encoding cannot say is written as escapes."""
    raw = io.BytesIO()
    console = io.TextIOWrapper(raw, encoding="ascii")
    log = build_logger("toy", console=console)
    log.info("größe")
    log.info("next")
    first, second = raw.getvalue().decode("ascii").splitlines()
    assert first.endswith("gr\\xf6\\xdfe")
    assert second.endswith("next")


@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs a device without room"
)
def test_a_full_disk_ends_no_run_and_is_told_once() -> None:
    """The console has one warning with the path, and every line."""
    console = io.StringIO()
    log = build_logger("toy", console=console, json_path=Path("/dev/full"))
    log.info("first", text="x" * 10_000)
    log.info("second")
    close_logger(log)
    told, first, second = console.getvalue().splitlines()
    assert "WARNING log_file_failed path=/dev/full error=" in told
    assert "INFO  first" in first
    assert "INFO  second" in second


def test_a_folder_that_goes_away_is_told_and_made_again(tmp_path: Path) -> None:
    """The first line makes the folders even if they were removed since."""
    path = tmp_path / "work" / "run.jsonl"
    log = build_logger("toy", console=io.StringIO(), json_path=path)
    path.parent.mkdir()
    path.parent.rmdir()
    log.info("said")
    close_logger(log)
    assert events(path) == ["said"]


def test_a_later_logger_goes_on_behind_half_a_line(tmp_path: Path) -> None:
    """A writer that was killed costs its own line and no other."""
    path = tmp_path / "run.jsonl"
    path.write_text('{"event": "whole"}\n{"event": "ha')
    log = build_logger("toy", console=io.StringIO(), json_path=path)
    log.info("resumed")
    log.info("next")
    close_logger(log)
    lines = path.read_text().splitlines()
    assert lines[1] == '{"event": "ha'
    assert [json.loads(lines[i])["event"] for i in (0, 2, 3)] == [
        "whole",
        "resumed",
        "next",
    ]


def test_each_line_is_there_at_once(tmp_path: Path) -> None:
    """A run that is killed next has lost no line."""
    path = tmp_path / "run.jsonl"
    log = build_logger("toy", console=io.StringIO(), json_path=path)
    for number in range(3):
        log.info("e%d", number)
        assert len(events(path)) == number + 1
    close_logger(log)


def test_a_logger_that_nobody_closed_closes_with_its_run(tmp_path: Path) -> None:
    """No open file is left behind for Python to warn of."""
    log = build_logger("toy", console=io.StringIO(), json_path=tmp_path / "run.jsonl")
    log.info("said")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del log
        gc.collect()
    assert [each for each in caught if each.category is ResourceWarning] == []
