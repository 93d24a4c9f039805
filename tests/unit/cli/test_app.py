"""The command ``engine``, as a user calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine import __version__
from engine.cli.app import app

ROOT = Path(__file__).parents[3]
RUNNER = CliRunner()

TOY = """
from torch import nn
from tests.runs import Samples, Spread

_data = dict(dataset=Samples(6), batch_size=3, collate_fn="default_collate")
model = dict(
    type="StepModel",
    module=nn.Sequential(nn.Flatten(), nn.Linear(6, 2)),
    loss=nn.functional.cross_entropy,
    preprocess=lambda batch: (batch[1], batch[2]),
)
train_dataloader = test_dataloader = _data
train_cfg = dict(max_epochs=2)
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1))
test_evaluator = Spread()
default_hooks = dict(logger=dict(interval=1))
randomness = dict(seed=1)
"""


def test_help_imports_no_torch() -> None:
    """It answers at once: nothing heavy is loaded for it."""
    code = (
        "import sys\n"
        "from engine.cli.app import main\n"
        "sys.argv = ['engine', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert end.code == 0, end.code\n"
        "heavy = {'torch', 'ignite', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    for name in ("train", "test", "env"):
        assert name in done.stdout


def test_a_mistake_is_one_message_and_exit_code_2(tmp_path: Path) -> None:
    """Without a traceback, in a real process."""
    (tmp_path / "bad.py").write_text("model = 3\ntrain_cfg = {'max_epochs': 0}\n")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "engine", "train", "bad.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "error: train_cfg given without train_dataloader, optim_wrapper: give "
        "train_dataloader, train_cfg, optim_wrapper together, or none of them\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"bad.py"}


def test_version() -> None:
    """Says it and leaves."""
    done = RUNNER.invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"engine {__version__}\n")


@pytest.mark.parametrize("command", ["train", "test"])
def test_debug_shows_the_traceback(command: str, tmp_path: Path) -> None:
    """The error itself goes up; without the option it does not."""
    path = str(tmp_path / "no.py")
    plain = RUNNER.invoke(app, [command, path])
    assert plain.exit_code == 2
    assert isinstance(plain.exception, SystemExit)
    assert plain.stderr == f"error: config {path} does not exist\n"
    shown = RUNNER.invoke(app, [command, path, "--debug"])
    assert type(shown.exception).__name__ == "ConfigError"


@pytest.mark.parametrize("arguments", [["train"], ["trian", "x.py"], ["train", "--x"]])
def test_a_wrong_call_is_exit_code_2(arguments: list[str]) -> None:
    """With the usage."""
    done = RUNNER.invoke(app, arguments)
    assert done.exit_code == 2
    assert "Usage" in done.stderr


def test_env_lists_versions_and_devices() -> None:
    """One to a line."""
    done = RUNNER.invoke(app, ["env"])
    assert done.exit_code == 0
    names = [line.split()[0] for line in done.output.splitlines()]
    assert names[:4] == ["engine", "python", "torch", "pytorch-ignite"]
    assert names[-1] == "devices"


def test_train_resume_test(tmp_path: Path) -> None:
    """The three calls, and what they print."""
    config, work_dir = tmp_path / "toy.py", tmp_path / "w"
    config.write_text(TOY)
    call = [str(config), "--work-dir", str(work_dir)]
    early = RUNNER.invoke(app, ["test", *call])
    assert early.exit_code == 2
    assert "holds no checkpoint to test: train first" in early.stderr
    trained = RUNNER.invoke(app, ["train", *call])
    assert trained.exit_code == 0, trained.output
    assert "Trained 2 epochs, 4 iterations, 12 samples in" in trained.stdout
    for name in ("checkpoints", "log", "metrics", "newest"):
        assert f"\n  {name}" in trained.stdout
    resumed = RUNNER.invoke(app, ["train", *call, "--resume"])
    assert resumed.exit_code == 0
    assert "This run is finished" in resumed.output
    tested = RUNNER.invoke(app, ["test", *call])
    assert f"Tested {work_dir / 'epoch_2.pth'}:\n  mean " in tested.stdout
    named = RUNNER.invoke(app, ["test", str(config), str(work_dir / "epoch_1.pth")])
    assert f"Tested {work_dir / 'epoch_1.pth'}:" in named.stdout


def test_an_error_of_the_users_code_keeps_its_traceback(tmp_path: Path) -> None:
    """A bug in a hook is no mistake in how the command is called."""
    config = tmp_path / "broken.py"
    config.write_text(
        TOY + "from engine import Hook\n"
        "class Broken(Hook):\n"
        "    def after_train_iter(self, runner, *_, **__):\n"
        "        raise ZeroDivisionError('mine')\n"
        "custom_hooks = [Broken()]\n"
    )
    done = RUNNER.invoke(app, ["train", str(config), "--work-dir", str(tmp_path / "w")])
    assert isinstance(done.exception, ZeroDivisionError)
    assert (
        "in Broken.after_train_iter, iteration 1" in vars(done.exception)["__notes__"]
    )
