"""Each shipped example, by the commands that its first lines name.

The digits have a story of their own in ``test_digits.py``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.config import Config
from tests import forked

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
CONFIGS = [
    "digits.py",
    "digits_lazy/digits.py",
    "digits_lazy/digits.yaml",
    "char_lm.py",
    "custom_parts.py",
]


def call(*arguments: str | Path) -> str:
    """What Python prints to standard output; it must succeed."""
    done = forked.run(*arguments, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def command(*arguments: str | Path) -> str:
    """What ``engine`` prints."""
    return call("-m", "engine", *arguments)


def value(printed: str, name: str) -> float:
    """A metric that a command printed."""
    found = re.search(rf"^  {re.escape(name)} +([0-9.]+)$", printed, re.MULTILINE)
    assert found is not None, printed
    return float(found[1])


@pytest.mark.parametrize("name", CONFIGS)
def test_a_shown_config_loads_back(name: str, tmp_path: Path) -> None:
    """What ``engine config show`` prints is the same config again."""
    shown = tmp_path / "shown.py"
    shown.write_text(command("config", "show", EXAMPLES / name), encoding="utf-8")
    assert Config.fromfile(shown) == Config.fromfile(EXAMPLES / name)
    assert command("config", "show", shown) == shown.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CONFIGS)
def test_two_batches_of_everything_run(name: str) -> None:
    """``--fast-dev-run`` gets through training, validation and test of each."""
    printed = command("train", EXAMPLES / name, "--fast-dev-run", "2")
    assert "2 batches of everything went through" in printed


@pytest.mark.slow
def test_the_language_model_beats_frequencies(tmp_path: Path) -> None:
    """It needs clearly fewer bits than knowing each character's frequency."""
    config = EXAMPLES / "char_lm.py"
    trained = command("train", config, "--work-dir", tmp_path)
    assert "200 iterations" in trained
    for mode in ("validate", "test"):
        printed = command(mode, config, "--work-dir", tmp_path)
        assert value(printed, "bits") < 0.75 * value(printed, "unigram_bits")


@pytest.mark.slow
def test_the_custom_parts_work_together(tmp_path: Path) -> None:
    """The loop trains, the hook stops it early, the metric tells classes apart."""
    config = EXAMPLES / "custom_parts.py"
    trained = command("train", config, "--work-dir", tmp_path)
    epochs = re.search(r"Trained (\d+) epochs", trained)
    assert epochs is not None
    assert int(epochs[1]) < 60
    tested = command("test", config, "--work-dir", tmp_path)
    assert value(tested, "spirals/accuracy") > 0.95
    assert value(tested, "spirals/inner") > 0.9


@pytest.mark.slow
def test_the_custom_parts_resume_exactly(tmp_path: Path) -> None:
    """Cut after five epochs and resumed, the run ends in the same weights."""

    def train(work_dir: Path, epochs: int, *more: str) -> None:
        limit = f"train_cfg.max_epochs={epochs}"
        command(
            "train",
            EXAMPLES / "custom_parts.py",
            "--work-dir",
            work_dir,
            "--set",
            limit,
            *more,
        )

    train(tmp_path / "whole", 10)
    train(tmp_path / "cut", 5)
    train(tmp_path / "cut", 10, "--resume")
    printed = call(
        EXAMPLES / "compare_checkpoints.py",
        tmp_path / "whole" / "epoch_10.pth",
        tmp_path / "cut" / "epoch_10.pth",
    )
    assert "DIFFERENT" not in printed


def test_the_composed_run_resumes_exactly(tmp_path: Path) -> None:
    """The script trains, cuts, resumes, and finds equal weights."""
    printed = call(EXAMPLES / "composed.py", tmp_path)
    assert "resumed after 40 iterations" in printed
    assert printed.endswith("weights are equal to the bit\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits_lazy/digits.py", "digits_lazy/digits.yaml"])
def test_the_inherited_digits_are_learned(name: str, tmp_path: Path) -> None:
    """The split config trains as the whole one does."""
    command("train", EXAMPLES / name, "--work-dir", tmp_path)
    tested = command("test", EXAMPLES / name, "--work-dir", tmp_path)
    assert value(tested, "accuracy") > 0.9
