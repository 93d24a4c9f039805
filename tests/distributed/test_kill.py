"""All ranks of a command are killed; the same command with ``--resume`` goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.testing import assert_same_run
from tests import forked

pytestmark = pytest.mark.distributed

EXAMPLE = forked.ROOT / "docs" / "examples" / "digits.py"


def children(process: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    told = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [one for number in map(int, told) for one in (number, *children(number))]


def killed(words: tuple[str, ...], folder: Path, after: str) -> None:
    """Run a command, and kill all of it when it has told a line."""
    command = subprocess.Popen(
        [sys.executable, "-u", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(forked.ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert command.stdout is not None
    with command.stdout as lines:
        told = next((line for line in lines if re.search(after, line)), None)
        assert told is not None, "it ended before it told that"
        for process in (*children(command.pid), command.pid):
            os.kill(process, signal.SIGKILL)
    assert command.wait() == -signal.SIGKILL


def test_killed_ranks_go_on_bit_equal(tmp_path: Path) -> None:
    """As two ranks that nobody killed: weights, metrics, each rank's own state."""

    def words(work_dir: str, *more: str) -> tuple[str, ...]:
        command = ("-m", "engine", "train", str(EXAMPLE), "--nproc", "2")
        sets = ("--set", "train_cfg.max_epochs=5")
        return (*command, "--work-dir", work_dir, *sets, *more)

    whole = forked.run(*words("whole"), cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    killed(words("killed"), tmp_path, r"Epoch\(train\) \[3\]")
    done = forked.run(*words("killed", "--resume"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Resumed from" in done.stdout + done.stderr
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
