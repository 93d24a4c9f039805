"""Loggers by name, and print_log, through structlog."""

from __future__ import annotations

import contextvars
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from torch import nn

from engine import Hook, Runner
from engine.errors import ConfigError
from engine.logging import MMLogger, build_logger, close_logger, print_log

if TYPE_CHECKING:
    from pathlib import Path

    from engine.state import RunContext


def lines(path: Path) -> list[dict[str, Any]]:
    """What a file of JSON lines holds."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def fresh(call: Any) -> Any:
    """What ``call()`` returns in a context in which no instance was made yet."""
    return contextvars.Context().run(call)


class Says(Hook):
    """Logs in each way that there is."""

    def before_run(self, runner: RunContext) -> None:
        print_log("a", logger="current")
        print_log("b", logger=MMLogger.get_current_instance(), level=logging.WARNING)
        print_log("c", logger=runner.logger, level=40)
        MMLogger.get_current_instance().debug("too low: %d", 1)
        try:
            raise ValueError("x")
        except ValueError:
            MMLogger.get_current_instance().exception("d %s", "e")


def test_the_current_logger_is_the_running_runs(tmp_path: Path) -> None:
    """Its file has the lines, with their level and the run's name."""
    runner = Runner(nn.Linear(1, 1), tmp_path, custom_hooks=[Says()])
    with runner.trainer.leading():
        pass
    close_logger(runner.logger)
    path = runner.log_dir / f"{runner.log_dir.name}.log.jsonl"
    found = [one for one in lines(path) if one["event"] == "message"]
    assert [(one["level"], one["text"]) for one in found] == [
        ("info", "a"),
        ("warning", "b"),
        ("error", "c"),
        ("error", "d e"),
    ]
    assert {one["run"] for one in found} == {runner.experiment_name}
    assert "ValueError: x" in found[-1]["exception"]


def test_named_loggers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Made once, with a file of their own; print_log finds them by name."""

    def ask() -> None:
        path = tmp_path / "deep" / "log.jsonl"
        with pytest.raises(ValueError, match="no logger is called 'mine'"):
            print_log("x", logger="mine")
        mine = MMLogger.get_instance("mine", log_file=path, log_level="WARNING")
        assert MMLogger.get_instance("mine") is mine
        assert MMLogger.get_current_instance() is mine
        assert (mine.log_file, mine.name, mine.instance_name) == (
            path,
            "engine",
            "mine",
        )
        print_log("kept", logger="mine", level=30)
        print_log("too low", logger="mine")
        assert [one["text"] for one in lines(path)] == ["kept"]
        again = MMLogger("again", log_file=path, file_mode="a")
        again.info("more")
        assert [one["text"] for one in lines(path)] == ["kept", "more"]
        MMLogger("anew", log_file=path).info("begun")
        assert [one["text"] for one in lines(path)] == ["begun"]
        assert "mine" not in logging.Logger.manager.loggerDict

    fresh(ask)
    assert "WARNING kept" in capsys.readouterr().err


def test_another_handler_for_the_file(tmp_path: Path) -> None:
    """Writes text, as the standard library does."""
    path = tmp_path / "log.txt"
    cfg = {"type": "RotatingFileHandler", "maxBytes": 300, "backupCount": 1}
    logger = MMLogger("x", "mine", log_file=path, file_handler_cfg=cfg)
    for number in range(20):
        logger.info("line %d", number)
    for handler in logger.handlers:
        handler.close()
    assert path.read_text().endswith(" - mine - INFO - line 19\n")
    assert (tmp_path / "log.txt.1").exists()
    with pytest.raises(ConfigError, match="type='Nothing': give one of FileHandler"):
        MMLogger("x", log_file=path, file_handler_cfg={"type": "Nothing"})
    with pytest.raises(ConfigError, match="file_mode='x': give 'w' or 'a'"):
        MMLogger("x", log_file=path, file_mode="x")


def test_print_log_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """None prints, silent drops, a standard logger logs, all else is refused."""
    print_log("seen")
    print_log("unseen", logger="silent")
    path = tmp_path / "x.jsonl"
    print_log("kept", logger=build_logger("x", json_path=path))
    standard = logging.Logger("mine")  # noqa: LOG001 - leaves no trace
    standard.addHandler(logging.FileHandler(tmp_path / "y"))
    print_log("there", logger=standard)
    for handler in standard.handlers:
        handler.close()
    assert (capsys.readouterr().out, lines(path)[0]["text"]) == ("seen\n", "kept")
    assert (tmp_path / "y").read_text() == "there\n"
    with pytest.raises(TypeError, match=r"expected a logger.*found an int"):
        print_log("x", logger=3)
