"""Each shipped example, by the commands that its first lines name.

The digits have a story of their own in ``test_digits.py``.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from engine.checkpoint import Store, read
from engine.config import Config
from engine.config.code_file import HOME
from engine.registry import Registry, roots
from tests import forked

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
CONFIGS = [
    "digits.py",
    "digits_lazy/digits.py",
    "digits_lazy/digits.yaml",
    "char_lm.py",
    "custom_parts.py",
    "gan.py",
    "digits_ema.py",
    "digits_per_class.py",
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


@pytest.fixture
def registries_kept() -> Iterator[None]:
    """What a config registers here is gone afterwards: other tests use those names.

    So is its module: a file that has not changed is not run a second time, and another
    test that reads it would find nothing registered.
    """
    registries = [one for one in vars(roots).values() if isinstance(one, Registry)]
    before = [dict(one._modules) for one in registries]
    read_before = set(sys.modules)
    yield
    for one, modules in zip(registries, before, strict=True):
        one._modules.clear()
        one._modules.update(modules)
    for name in set(sys.modules) - read_before:
        if name.startswith(f"{HOME}."):
            del sys.modules[name]


@pytest.mark.usefixtures("registries_kept")
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


@pytest.mark.slow
def test_the_two_networks_learn_the_ring(tmp_path: Path) -> None:
    """Made-up points lie near the ring, in all quadrants; both rates went down."""
    config = EXAMPLES / "gan.py"
    command("train", config, "--work-dir", tmp_path)
    for mode in ("validate", "test"):
        printed = command(mode, config, "--work-dir", tmp_path)
        assert value(printed, "distance") < 0.06  # real points: 0.04
        assert value(printed, "rarest_quadrant") > 0.15  # real points: 0.25
    scalars = read(tmp_path / "iter_1500.pth")["message_hub"]["scalars"]
    assert scalars["train/generator.lr"]["values"][-1] < 2e-5
    assert scalars["train/discriminator.lr"]["values"][-1] < 2e-4
    assert "train/discriminator.grad_norm" in scalars


@pytest.mark.slow
def test_the_average_of_the_digits_is_what_is_evaluated(tmp_path: Path) -> None:
    """Both commands find the averages, which learned, in the newest checkpoint."""
    config = EXAMPLES / "digits_ema.py"
    trained = command("train", config, "--work-dir", tmp_path)
    scalars = re.findall(r"^  metrics +(.+)$", trained, re.MULTILINE)
    last = Path(scalars[0]).read_text(encoding="utf-8").splitlines()[-1]
    validated = command("validate", config, "--work-dir", tmp_path)
    found = value(validated, "accuracy")
    assert found == pytest.approx(json.loads(last)["accuracy"], abs=1e-4)
    tested = command("test", config, "--work-dir", tmp_path)
    assert value(tested, "accuracy") > 0.96
    saved = read(tmp_path / "epoch_8.pth")
    averages, beside = saved["state_dict"], saved["ema_state_dict"]
    assert beside["steps"].item() == 8 * 19
    name = "layers.0.weight"
    assert not torch.equal(averages[name], beside[f"module.{name}"])


KILLED = {
    "gan.py": [
        "train_cfg.max_iters=60",
        "train_cfg.val_interval=20",
        "param_scheduler.generator.0.end=20",
        "param_scheduler.generator.1.begin=30",
        "default_hooks.checkpoint.interval=7",
    ],
    "digits_ema.py": [
        "train_cfg.max_epochs=4",  # of 19 iterations; the rates warm up for two
        "default_hooks.checkpoint.by_epoch=False",
        "default_hooks.checkpoint.interval=8",
    ],
}


def train_short(name: str, work_dir: Path, *options: str) -> list[str | Path]:
    """The command that trains an example for some iterations and logs each."""
    settings = [*KILLED[name], "default_hooks.logger.interval=1"]
    sets = [word for setting in settings for word in ("--set", setting)]
    train = ["-m", "engine", "train"]
    return [*train, EXAMPLES / name, "--work-dir", work_dir, *sets, *options]


def kill_after(lines: int, command: list[str | Path]) -> None:
    """Run a command in a new interpreter, and kill it by SIGKILL while it trains.

    Args:
        lines: Log lines of iterations that are read before the kill. Which instruction
            is hit is chance: a full pipe, a page of some 20 lines, holds the run up.
        command: Arguments of the interpreter.
    """
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    child = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=writer,
        stderr=subprocess.STDOUT,
    )
    os.close(writer)
    told = 0
    # Without a buffer: else what waits in it is a second page that the run is ahead.
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        for line in pipe:
            told += b"(train)" in line
            if told == lines:
                child.kill()
    assert child.wait() == -signal.SIGKILL
    assert told >= lines


@pytest.mark.slow
@pytest.mark.parametrize("name", KILLED)
def test_an_example_that_was_killed_ends_as_if_it_was_not(
    name: str, tmp_path: Path
) -> None:
    """Weights, averages, optimizers, schedules, scalars: equal to the bit."""
    call(*train_short(name, tmp_path / "whole"))
    kill_after(18, train_short(name, tmp_path / "cut"))
    newest = Store(tmp_path / "cut").newest_good()
    assert newest is not None
    at = newest[1]["engine"]["run_state"]["progress"]["iteration"]
    resumed = subprocess.run(
        [sys.executable, *train_short(name, tmp_path / "cut", "--resume")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    last = (tmp_path / "whole" / "last_checkpoint").read_text(encoding="utf-8")
    file = Path(last.strip()).name
    assert 0 < at < int(re.findall(r"\d+", file)[-1])
    assert f"iteration {at}" in resumed.stderr
    printed = call(
        EXAMPLES / "compare_checkpoints.py",
        tmp_path / "whole" / file,
        tmp_path / "cut" / file,
    )
    equal = re.findall(r"^(\w+) +equal$", printed, re.MULTILINE)
    held = {"weights", "optimizer", "schedules", "counters", "generators", "scalars"}
    assert set(equal) == held | ({"averages"} if name == "digits_ema.py" else set())
