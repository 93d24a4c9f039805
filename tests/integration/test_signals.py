"""Real signals to a real command: its exit code, what it leaves, and what goes on."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.checkpoint import Store, find_latest_checkpoint, read
from tests.forked import run
from tests.runs import bits

if TYPE_CHECKING:
    import subprocess

CONFIG = Path(__file__).parent / "signalled.py"
ITERATIONS = 28


def command(
    folder: Path, *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """``engine train`` in that folder."""
    folder.mkdir(exist_ok=True)
    return run(
        "-m",
        "engine",
        "train",
        CONFIG,
        "--work-dir",
        "run",
        *options,
        cwd=folder,
        env={"TOLD": str(folder / "told"), **environment},
    )


def outcome(folder: Path) -> dict[str, Any]:
    """The last checkpoint, times apart."""
    checkpoint = read(folder / "run" / f"iter_{ITERATIONS}.pth")
    hub = checkpoint.pop("message_hub")["scalars"]
    checkpoint["scalars"] = [hub["train/loss"], hub["val/accuracy"]]
    del checkpoint["meta"], checkpoint["engine"]["run_state"]["elapsed_seconds"]
    told: dict[str, Any] = bits(checkpoint)
    return told


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the run without any signal comes to."""
    folder = tmp_path_factory.mktemp("whole")
    done = command(folder)
    assert done.returncode == 0, done.stderr
    return outcome(folder)


@pytest.mark.parametrize(
    ("name", "place", "workers"),
    [
        ("SIGTERM", "forward", 0),
        ("SIGINT", "step", 0),
        ("SIGUSR1", "validation", 0),
        ("SIGTERM", "save", 0),
        ("SIGTERM", "worker", 2),
        ("SIGINT", "worker", 2),
        ("SIGUSR1", "worker", 1),
    ],
)
def test_a_signalled_command(
    whole: dict[str, Any], tmp_path: Path, name: str, place: str, workers: int
) -> None:
    """It says in a line how to go on, exits as a shell says it, and goes on exactly."""
    number = signal.Signals[name]
    how = {"SIGNAL": name, "PLACE": place, "WORKERS": str(workers)}
    done = command(tmp_path, **how)
    assert done.returncode == 128 + number, done.stderr
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"stopped ({name}) after ")
    assert "--resume" in line
    newest = find_latest_checkpoint(tmp_path / "run")
    assert newest is not None
    assert str(Path("run") / Path(newest).name) in line
    assert len([*(tmp_path / "run").glob("stopped_*.pth")]) == (place != "save")
    assert Store(tmp_path / "run").newest_good() is not None
    again = command(tmp_path, "--resume")
    assert again.returncode == 0, again.stderr
    assert outcome(tmp_path) == whole
    assert not [*(tmp_path / "run").glob("stopped_*.pth")], "a newer one took its place"


def test_a_second_signal_kills(tmp_path: Path) -> None:
    """At once: the iteration does not end, and nothing is saved."""
    done = command(tmp_path, SIGNAL="SIGTERM", PLACE="forward", AGAIN="1")
    assert done.returncode == -signal.SIGTERM % 256
    assert len((tmp_path / "told").read_text().splitlines()) == 7
    assert not [*(tmp_path / "run").glob("stopped_*.pth")]


def test_a_second_ctrl_c_kills(tmp_path: Path) -> None:
    """Likewise, and it says which checkpoint stands; a shell sees the signal."""
    done = command(tmp_path, SIGNAL="SIGINT", PLACE="forward", AGAIN="1")
    assert done.returncode == 128 + signal.SIGINT
    assert "Traceback" not in done.stderr
    assert "interrupted" in done.stderr
    assert "Nothing is saved from what failed. The newest checkpoint is" in done.stderr
    assert not [*(tmp_path / "run").glob("stopped_*")]


def test_a_run_that_leaves_signals_alone(tmp_path: Path) -> None:
    """``handle_signals=False``: the first one kills."""
    options = ("--set", "env_cfg.handle_signals=False")
    done = command(tmp_path, *options, SIGNAL="SIGTERM", PLACE="forward")
    assert done.returncode == -signal.SIGTERM % 256


def test_a_run_whose_time_is_over(tmp_path: Path) -> None:
    """It exits with the code that means: try again."""
    done = command(tmp_path, "--set", "env_cfg.max_seconds=1e-9")
    assert done.returncode == 75, done.stderr
    assert "stopped (max_seconds=1e-09 are over) after 0 iterations" in done.stderr
