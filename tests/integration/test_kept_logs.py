"""Log files are copied to where they are kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import fsspec  # type: ignore[import-untyped]  # it ships none
import pytest
import torch
from torch import nn

from engine import Hook, Runner, StepModel
from engine.errors import ConfigError
from engine.hooks import LoggerHook
from engine.logging import close_logger

if TYPE_CHECKING:
    from pathlib import Path

    from engine.state import RunContext


class Fails(Hook):
    """Ends the run in its third iteration, by an error or a halt."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def after_train_iter(self, runner: RunContext, *_: Any, **__: Any) -> None:
        if runner.iter == 2:
            if self.error is not None:
                raise self.error
            runner.interrupt()


def make(work_dir: Path, *hooks: Hook, **logger: Any) -> Runner:
    """A run of four iterations, each logged."""
    batch = (torch.ones(2, 3), torch.ones(2, 1))
    return Runner(
        StepModel(nn.Linear(3, 1), nn.functional.mse_loss),
        work_dir,
        train_dataloader=[batch] * 4,
        train_cfg={"max_epochs": 1},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        default_hooks={"logger": {"interval": 1, **logger}, "checkpoint": None},
        custom_hooks=list(hooks),
        cfg={"answer": 42},
    )


def steps(scalars: bytes | str) -> list[int]:
    """The steps of a file of scalars."""
    return [json.loads(line)["step"] for line in scalars.splitlines()]


def test_into_an_object_store(tmp_path: Path) -> None:
    """Under the work dir's name, in the log folder's; other files stay out."""
    store = fsspec.filesystem("memory")
    runner = make(tmp_path / "exp", out_dir="memory://kept/logs")
    (runner.log_dir / "picture.png").write_bytes(b"x")
    runner.train()
    root = f"/kept/logs/exp/{runner.log_dir.name}"
    found = {path.removeprefix(root) for path in store.find("/kept/logs")}
    name = runner.log_dir.name
    assert {"/vis_data/scalars.json", f"/{name}.log.jsonl"} <= found
    assert not any(path.endswith(".png") for path in found)
    assert steps(store.cat(f"{root}/vis_data/scalars.json")) == [1, 2, 3, 4]
    assert (runner.log_dir / "vis_data" / "scalars.json").exists()
    store.rm("/kept", recursive=True)


def test_local_files_may_go(tmp_path: Path) -> None:
    """Once the copies are there; lines that come later are still written."""
    runner = make(tmp_path / "exp", out_dir=tmp_path / "kept", keep_local=False)
    runner.train()
    kept = tmp_path / "kept" / "exp" / runner.log_dir.name
    assert steps((kept / "vis_data" / "scalars.json").read_text()) == [1, 2, 3, 4]
    assert not (runner.log_dir / "vis_data" / "scalars.json").exists()
    runner.logger.info("later")
    late = runner.log_dir / f"{runner.log_dir.name}.log.jsonl"
    assert "later" in late.read_text()
    close_logger(runner.logger)


@pytest.mark.parametrize("error", [ValueError("no good"), None])
def test_a_run_that_is_cut_is_copied_as_far_as_it_came(
    error: Exception | None, tmp_path: Path
) -> None:
    """And the same file is written further when it goes on."""
    settings = {"out_dir": tmp_path / "kept", "keep_local": False}
    runner = make(tmp_path / "exp", Fails(error), **settings)
    scalars = tmp_path / "kept" / "exp" / runner.log_dir.name / "vis_data/scalars.json"
    if error is not None:
        with pytest.raises(ValueError, match="no good"):
            runner.train()
        assert steps(scalars.read_text()) == [1, 2]  # the hook failed before the logger
        return
    runner.train()
    assert steps(scalars.read_text()) == [1, 2, 3]
    runner.train()
    assert steps(scalars.read_text()) == [1, 2, 3, 4]
    assert not scalars.with_name("scalars_2.json").exists()


def test_another_runs_file_is_not_overwritten(tmp_path: Path) -> None:
    """It gets a number into its name."""
    runner = make(tmp_path / "exp", out_dir=tmp_path / "kept")
    kept = tmp_path / "kept" / "exp" / runner.log_dir.name / "vis_data"
    kept.mkdir(parents=True)
    (kept / "scalars.json").write_text("another's\n")
    runner.train()
    assert (kept / "scalars.json").read_text() == "another's\n"
    assert steps((kept / "scalars_2.json").read_text()) == [1, 2, 3, 4]


def test_a_place_that_cannot_be_written_ends_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One warning; the files stay where they are, also if they should go."""
    (tmp_path / "kept").write_text("a file")
    runner = make(tmp_path / "exp", out_dir=tmp_path / "kept", keep_local=False)
    runner.train()
    assert "could not be copied to" in capsys.readouterr().err
    assert (runner.log_dir / "vis_data" / "scalars.json").exists()
    close_logger(runner.logger)


def test_an_unknown_file_system_is_refused_at_once() -> None:
    """Before anything is trained."""
    with pytest.raises(ConfigError, match=r"out_dir='nowhere://x': no file system"):
        LoggerHook(out_dir="nowhere://x")
