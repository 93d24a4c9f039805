"""kill -9 at any moment, and the same command with --resume: the unbroken run."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from engine.checkpoint import Store, find_latest_checkpoint, read
from tests.runs import bits

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).parent / "killable.py"
EPOCH, ITERATIONS, INTERVAL = 7, 28, 3


@frozen
class Run:
    """A run of the config in a folder, in one process or in several.

    Args:
        folder: Holds the work dir, what was told, and what was printed.
        workers: Loader processes.
    """

    folder: Path
    workers: int = 0

    @property
    def work_dir(self) -> Path:
        """Where its checkpoints lie."""
        return self.folder / "work dir"

    def start(self, *options: str, kill_after: int | None = None) -> None:
        """Run the command to its end, or kill it.

        Args:
            options: Of the command.
            kill_after: Kill when so many iterations were told of. Which instruction is
                hit is chance: the run is up to a page further.
        """
        self.folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "engine", "train", str(CONFIG), *options]
        command += ["--work-dir", str(self.work_dir)]
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        environment = {
            **os.environ,
            "WORKERS": str(self.workers),
            "TOLD": str(self.folder / "told"),
            "PYTHONPATH": str(ROOT),
            "PIPE": str(writer),
        }
        with (self.folder / "printed").open("ab") as printed, os.fdopen(reader) as pipe:
            child = subprocess.Popen(
                command,
                env=environment,
                cwd=self.folder,
                stdout=printed,
                stderr=printed,
                pass_fds=(writer,),
                start_new_session=True,  # a group of its own, with its workers
            )
            os.close(writer)
            # Ends when the last process that can write has ended.
            for told, _ in enumerate(pipe, start=1):
                if told == kill_after:
                    os.killpg(child.pid, signal.SIGKILL)
            code = child.wait()
        output = (self.folder / "printed").read_text(errors="replace")
        assert code == (0 if kill_after is None else -signal.SIGKILL), output[-3000:]

    def losses(self) -> list[tuple[int, str]]:
        """Iterations and losses in the order in which they were told."""
        lines = (self.folder / "told").read_text().splitlines()
        return [(int(line.split()[0]), line.split()[1]) for line in lines]

    def outcome(self) -> dict[str, Any]:
        """The last checkpoint, times apart."""
        newest = find_latest_checkpoint(self.work_dir)
        assert newest == str(self.work_dir / f"iter_{ITERATIONS}.pth")
        checkpoint = read(newest)
        hub = checkpoint.pop("message_hub")
        checkpoint["losses"] = hub["scalars"]["train/loss"]
        checkpoint["norms"] = hub["scalars"]["train/grad_norm"]
        checkpoint["accuracy"] = hub["scalars"]["val/accuracy"]
        del checkpoint["meta"], checkpoint["engine"]["run_state"]["elapsed_seconds"]
        told: dict[str, Any] = bits(checkpoint)
        return told


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The unbroken run."""
    run = Run(tmp_path_factory.mktemp("whole"))
    run.start()
    assert [iteration for iteration, _ in run.losses()] == list(range(ITERATIONS))
    return run


def moments() -> list[int]:
    """Iterations after which a run is killed: by chance, the same in every test run."""
    chance = random.Random(20)
    return [chance.randint(5, 13), chance.randint(4, 9)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_goes_on_as_if_it_never_stopped(
    whole: Run, tmp_path: Path, workers: int
) -> None:
    """Killed twice by SIGKILL; losses, weights, optimizer: equal to the bit."""
    run = Run(tmp_path / "killed", workers)
    inside_an_epoch = 0
    for attempt, moment in enumerate(moments()):
        done = len(run.losses()) if attempt else 0
        run.start(*["--resume"] * bool(attempt), kill_after=moment)
        assert len(run.losses()) >= done + moment
        found = Store(run.work_dir).newest_good()
        assert found is not None
        progress = found[1]["engine"]["run_state"]["progress"]
        assert 0 < progress["iteration"] < ITERATIONS
        inside_an_epoch += 0 < progress["epoch_iteration"] < EPOCH
    assert inside_an_epoch, "one of the moments lies inside an epoch"
    run.start("--resume")
    told = run.losses()
    assert len(told) > ITERATIONS, "iterations after a checkpoint were done again"
    assert set(told) == set(whole.losses()), "all of them, each time to the bit"
    assert run.outcome() == whole.outcome()


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(
    whole: Run, tmp_path: Path
) -> None:
    """--resume without anything to resume from is a new run."""
    run = Run(tmp_path / "early")
    run.start(kill_after=1)
    if find_latest_checkpoint(run.work_dir) is None:  # it was not a page too late
        assert Store(run.work_dir).newest_good() is None
    run.start("--resume")
    assert run.outcome() == whole.outcome()
