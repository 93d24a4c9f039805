"""The command ``engine config schedule``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.app import app

ROOT = Path(__file__).parents[3]
RUNNER = CliRunner()

HEAD = """
from torch import nn

class NoData:
    def __init__(self):
        raise RuntimeError("the data was opened")

model = dict(
    type="StepModel", module=nn.Linear(2, 2), loss=nn.functional.cross_entropy
)
train_dataloader = dict(dataset=dict(type=NoData), batch_size=4)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=1.0, momentum=0.5))
"""


def call(folder: Path, text: str, *arguments: str) -> tuple[int, str]:
    """Exit code and output of the command on a config; it writes into the folder."""
    config = folder / "toy.py"
    config.write_text(HEAD + text)
    picture = str(folder / "toy.png")
    done = RUNNER.invoke(
        app, ["config", "schedule", str(config), "-o", picture, *arguments]
    )
    return done.exit_code, done.output


def rows(output: str) -> dict[str, list[str]]:
    """The table: what each row is called, and its values."""
    found = {}
    for line in output.splitlines():
        name, *values = [cell for cell in line.split("  ") if cell.strip()] or [""]
        if ": " in name and values:
            found[name] = [value.strip() for value in values]
    return found


def test_key_points_by_iteration_need_no_data(tmp_path: Path) -> None:
    """In a run bounded by iterations; the picture is a PNG."""
    code, output = call(
        tmp_path,
        """
train_cfg = dict(max_iters=20)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.25, by_epoch=False, end=4),
    dict(type="MultiStepLR", milestones=[10, 15], by_epoch=False),
]
""",
    )
    assert code == 0, output
    assert rows(output) == {
        "iteration 0: start": ["0.25", "0.5"],
        "iteration 3: lr highest": ["1", "0.5"],
        "iteration 4: LinearLR ends": ["1", "0.5"],
        "iteration 10: MultiStepLR milestone": ["0.1", "0.5"],
        "iteration 15: MultiStepLR milestone, lr lowest": ["0.01", "0.5"],
        "iteration 19: end": ["0.01", "0.5"],
    }
    assert (tmp_path / "toy.png").read_bytes().startswith(b"\x89PNG")


def test_by_epoch_needs_no_data_either(tmp_path: Path) -> None:
    """The curve is one of epochs, and ``--set`` changes its length."""
    code, output = call(
        tmp_path,
        """
train_cfg = dict(max_epochs=3)
param_scheduler = dict(type="ExponentialLR", gamma=0.5)
""",
        "--set",
        "train_cfg.max_epochs=4",
    )
    assert code == 0, output
    assert rows(output) == {
        "epoch 0: start, lr highest": ["1", "0.5"],
        "epoch 3: end, lr lowest": ["0.125", "0.5"],
    }


def test_iterations_of_epochs_need_the_data(tmp_path: Path) -> None:
    """Only its length: the error that making it raises comes up."""
    code, output = call(
        tmp_path,
        """
train_cfg = dict(max_epochs=3)
param_scheduler = dict(type="LinearLR", end=2, convert_to_iter_based=True)
""",
    )
    assert code == 2
    assert "train_dataloader.dataset" in output
    assert "the data was opened" in output


def test_the_length_of_an_epoch_is_the_loaders(tmp_path: Path) -> None:
    """A list of 10 samples in batches of 4 is 3 iterations."""
    code, output = call(
        tmp_path,
        """
train_cfg = dict(max_epochs=4)
train_dataloader = dict(dataset=list(range(10)), batch_size=4)
param_scheduler = dict(type="LinearLR", end=2, convert_to_iter_based=True)
auto_scale_lr = dict(enable=True, base_batch_size=2)
""",
    )
    assert code == 0, output
    assert "4 epochs of 3 iterations" in output
    assert rows(output)["iteration 6 (epoch 2): LinearLR ends"] == ["2", "0.5"]


def test_several_optimizers_have_a_curve_each(tmp_path: Path) -> None:
    """As the generator and discriminator of the example."""
    picture = tmp_path / "gan.png"
    done = RUNNER.invoke(
        app,
        [
            *("config", "schedule", str(ROOT / "docs/examples/gan.py")),
            *("--output", str(picture)),
        ],
    )
    assert done.exit_code == 0, done.output
    assert "generator.lr  generator.momentum  discriminator.lr" in done.output
    assert rows(done.output)["iteration 100: generator.LinearLR ends"][0] == "0.001"
    assert picture.exists()


def test_groups_and_a_plateau_are_remarked_on(tmp_path: Path) -> None:
    """The table shows one group; what waits for metrics is drawn as if it waited."""
    code, output = call(
        tmp_path,
        """
train_cfg = dict(max_epochs=3)
optim_wrapper["paramwise_cfg"] = dict(bias_lr_mult=2.0)
param_scheduler = dict(type="ReduceLROnPlateau", monitor="loss")
""",
    )
    assert code == 0, output
    assert "first of 2 parameter groups" in output
    assert "ReduceLROnPlateau waits for metrics" in output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no train_cfg"),
        ("train_cfg = dict(val_interval=1)", "train_cfg: how long is the run?"),
        (
            """train_cfg = dict(max_epochs=2)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=0)]""",
            "param_scheduler[0]: CosineAnnealingLR: T_max is 0",
        ),
    ],
)
def test_a_mistake_is_one_message(tmp_path: Path, text: str, message: str) -> None:
    """Which says where."""
    code, output = call(tmp_path, text)
    assert code == 2
    assert message in output
    assert "Traceback" not in output


def test_a_missing_matplotlib_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no dependency of the engine."""
    monkeypatch.delitem(sys.modules, "engine.cli.schedule_picture", raising=False)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, output = call(tmp_path, "train_cfg = dict(max_epochs=2)")
    assert code == 2
    assert "pip install 'ignite-runner[plot]'" in output
