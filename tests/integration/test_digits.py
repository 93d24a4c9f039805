"""The shipped example, by the commands that the README shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests import forked

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "docs" / "examples" / "digits.py"


def command(*arguments: str | Path) -> str:
    """What ``engine`` prints to standard output; it must succeed."""
    done = forked.run("-m", "engine", *arguments, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def place(printed: str, name: str) -> Path:
    """The path that a command printed under that name."""
    found = re.search(rf"^  {name} +(.+)$", printed, re.MULTILINE)
    assert found is not None, printed
    return Path(found[1])


@pytest.mark.slow
def test_the_digits_are_learned(tmp_path: Path) -> None:
    """Train, then test on images never trained on; files lie where it says."""
    work_dir = tmp_path / "a work dir"
    trained = command("train", CONFIG, "--work-dir", work_dir)
    assert "Trained 15 epochs, 285 iterations, 17955 samples" in trained
    assert place(trained, "checkpoints") == work_dir
    assert place(trained, "newest") == work_dir / "epoch_15.pth"
    lines = place(trained, "log").read_text().splitlines()
    assert {"training_starts", "train", "val_metrics", "checkpoint_saved"} <= {
        json.loads(line)["event"] for line in lines
    }
    metrics = place(trained, "metrics").read_text().splitlines()
    scalars = [json.loads(line) for line in metrics]
    assert any("loss" in one for one in scalars)
    assert sum("accuracy" in one for one in scalars) == 15
    assert {path.name for path in work_dir.glob("epoch_*.pth")} == {
        f"epoch_{epoch}.pth" for epoch in (13, 14, 15)
    }
    (best,) = work_dir.glob("best_accuracy_epoch_*.pth")

    tested = command("test", CONFIG, "--work-dir", work_dir)
    assert f"Tested {work_dir / 'epoch_15.pth'}" in tested
    assert float(re.findall(r"accuracy +([0-9.]+)", tested)[-1]) >= 0.96
    assert place(tested, "checkpoints") == work_dir

    named = command("test", CONFIG, best, "--work-dir", work_dir)
    assert f"Tested {best}" in named
    assert float(re.findall(r"accuracy +([0-9.]+)", named)[-1]) >= 0.94
