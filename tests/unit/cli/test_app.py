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
from engine.config import Config

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
    for name in ("train", "validate", "test", "config", "env"):
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
        "error: bad.py:2: train_cfg given without train_dataloader, optim_wrapper: "
        "give train_dataloader, train_cfg, optim_wrapper together, or none of them\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"bad.py"}


def test_version() -> None:
    """Says it and leaves."""
    done = RUNNER.invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"engine {__version__}\n")


@pytest.mark.parametrize("command", ["train", "validate", "test"])
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


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--launcher", "slurm"], "not set: SLURM_PROCID, SLURM_NTASKS"),
        (["--launcher", "slrum"], "Did you mean 'slurm'?"),
        (["--launcher", "mpi", "--nproc", "2"], "give one of them"),
    ],
)
@pytest.mark.parametrize("command", ["train", "validate", "test"])
def test_a_launcher_that_did_not_start_this_is_refused(
    command: str, options: list[str], said: str
) -> None:
    """Before the config is read."""
    done = RUNNER.invoke(app, [command, "no.py", *options])
    assert done.exit_code == 2
    assert said in done.stderr


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
    begun = RUNNER.invoke(
        app,
        [
            "train",
            str(config),
            str(work_dir / "epoch_1.pth"),
            "--resume",
            "--work-dir",
            str(tmp_path / "v"),
        ],
    )
    assert "Resumed from" in begun.output
    assert "Trained 2 epochs, 4 iterations" in begun.stdout
    named = RUNNER.invoke(app, ["test", str(config), str(work_dir / "epoch_1.pth")])
    assert f"Tested {work_dir / 'epoch_1.pth'}:" in named.stdout


def test_validate_prints_the_metrics_of_the_newest_checkpoint(tmp_path: Path) -> None:
    """Or of one that is named, changed on the command line."""
    config, work_dir = tmp_path / "toy.py", tmp_path / "w"
    config.write_text(
        TOY + "val_dataloader = _data\nval_cfg = dict()\nval_evaluator = Spread()\n"
    )
    call = [str(config), "--work-dir", str(work_dir)]
    early = RUNNER.invoke(app, ["validate", *call])
    assert early.exit_code == 2
    assert "holds no checkpoint to validate: train first" in early.stderr
    best = "default_hooks={'checkpoint': {'save_best': 'mean', 'rule': 'less'}}"
    change = ["--set", "train_cfg.max_epochs=1", "--set", best]
    trained = RUNNER.invoke(app, ["train", *call, *change])
    assert "Trained 1 epoch, 2 iterations" in trained.stdout
    assert (
        f"\n  best        {work_dir / 'best_mean_epoch_1.pth'}: mean " in trained.stdout
    )
    done = RUNNER.invoke(app, ["validate", *call])
    assert f"Validated {work_dir / 'epoch_1.pth'}:\n  mean " in done.stdout


def test_a_fast_dev_run_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.py").write_text(TOY)
    done = RUNNER.invoke(app, ["train", "toy.py", "--fast-dev-run", "1"])
    assert done.exit_code == 0, done.output
    assert "1 batch of everything went through; nothing is kept." in done.stdout
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"toy.py"}
    tested = RUNNER.invoke(app, ["test", "toy.py", "--fast-dev-run", "1"])
    assert tested.exit_code == 0, tested.output
    assert "\n  test        mean " in tested.stdout
    none = RUNNER.invoke(app, ["validate", "toy.py", "--fast-dev-run", "1"])
    assert (none.exit_code, none.stderr.count("has none of val")) == (2, 1)
    wrong = RUNNER.invoke(app, ["train", "toy.py", "--fast-dev-run", "0"])
    assert wrong.exit_code == 2
    for command in ("train", "test"):  # the checkpoint is used
        there = [command, "toy.py", "no.pth", "--fast-dev-run", "1"]
        assert "no.pth: there is no such checkpoint" in RUNNER.invoke(app, there).stderr


def test_a_runner_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``runner_type`` names its class."""
    monkeypatch.chdir(tmp_path)
    own = """
from engine import Runner
class Shy(Runner):
    def train(self):
        print("not today")
    def test(self):
        return {"mood": "shy"}
runner_type = Shy
"""
    (tmp_path / "toy.py").write_text(TOY + own)
    for call in (["train", "toy.py"], ["train", "toy.py", "--fast-dev-run", "1"]):
        done = RUNNER.invoke(app, call)
        assert "not today" in done.stdout, done.output


@pytest.mark.parametrize("change", ["_base_=b.py", "custom_imports.imports=[json]"])
def test_what_is_read_first_cannot_be_set(change: str, tmp_path: Path) -> None:
    """It would be ignored."""
    (tmp_path / "toy.py").write_text("x = 1\n")
    call = ["config", "show", str(tmp_path / "toy.py"), "--set", change]
    done = RUNNER.invoke(app, call)
    assert done.exit_code == 2
    assert "too late" in done.stderr
    assert "with _base_ = 'toy.py'" in done.stderr


def test_config_show_prints_what_loads_back(tmp_path: Path) -> None:
    """With what it inherits, and what the command line changes."""
    (tmp_path / "base.yaml").write_text("model: {type: Net, depth: 1}\n")
    child = tmp_path / "child.yaml"
    child.write_text("_base_: base.yaml\nmodel: {depth: 2}\n")
    done = RUNNER.invoke(app, ["config", "show", str(child), "--set", "resume=True"])
    assert done.exit_code == 0, done.output
    expected = {"model": {"type": "Net", "depth": 2}, "resume": True}
    assert Config.fromstring(done.stdout, ".py") == Config(expected)


def test_config_diff_names_what_differs(tmp_path: Path) -> None:
    """And says so where nothing does."""
    one, two = tmp_path / "one.yaml", tmp_path / "two.json"
    one.write_text("lr: 0.1\nsteps: 3\n")
    two.write_text('{"lr": 0.2, "steps": 3}')
    done = RUNNER.invoke(app, ["config", "diff", str(one), str(two)])
    assert "-lr = 0.1\n+lr = 0.2\n" in done.stdout
    same = RUNNER.invoke(app, ["config", "diff", str(one), str(one)])
    assert same.stdout == "The two configs are the same.\n"


def test_the_shell_completes_commands() -> None:
    """By the script that --show-completion prints."""
    done = RUNNER.invoke(
        app,
        [],
        env={
            "_ENGINE_COMPLETE": "complete_bash",
            "COMP_WORDS": "engine va",
            "COMP_CWORD": "1",
        },
        prog_name="engine",
    )
    assert done.stdout.split() == ["validate"]


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
