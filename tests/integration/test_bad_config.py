"""A wrong config on the command line: one message, no traceback, exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import field, frozen
from typer.testing import CliRunner

from engine.cli.app import app

GOOD = """from torch import nn
from torch.utils.data import TensorDataset
import torch

model = dict(
    type="StepModel",
    module=dict(type="torch.nn.Linear", in_features=2, out_features=1),
    loss=dict(type="torch.nn.MSELoss"),
)
train_dataloader = dict(
    dataset=TensorDataset(torch.zeros(4, 2), torch.zeros(4, 1)),
    batch_size=2,
    collate_fn="default_collate",
)
train_cfg = dict(by_epoch=True, max_epochs=1)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1))
"""
RUNNER = CliRunner()


@frozen
class Bad:
    """A wrong config.

    Args:
        says: Parts of the message, in order.
        files: By name; the command reads ``config.py``, which is a good one else.
        changes: What ``--set`` gets.
    """

    says: tuple[str, ...]
    files: dict[str, str] = field(factory=dict)
    changes: tuple[str, ...] = ()


def edited(old: str, new: str) -> dict[str, str]:
    """The good config with other words in it."""
    assert old in GOOD
    return {"config.py": GOOD.replace(old, new)}


CASES = {
    "unknown name": Bad(
        (
            "config.py:16: optim_wrapper.optimizer: no optimizer is called 'SDG'",
            "Did you mean 'SGD'?",
            "Looked in registry 'optimizer' of scope 'engine'",
            "Known: ASGD",
        ),
        edited('"SGD"', '"SDG"'),
    ),
    "unknown dotted path": Bad(
        (
            "config.py:7: model.module: no model is called 'torch.nn.Linaer'",
            "'torch.nn' has no 'Linaer'. Did you mean 'Linear'?",
        ),
        edited("nn.Linear", "nn.Linaer"),
    ),
    "missing key": Bad(
        ("config.py:16: optim_wrapper: needs 'optimizer', found ",),
        edited("dict(optimizer=dict(type", "dict(clip_grad=dict(type"),
    ),
    "missing argument": Bad(
        ("config.py:7: model.module: ", "Linear", "out_features"),
        edited(", out_features=1", ""),
    ),
    "missing type": Bad(
        ("config.py:16: optim_wrapper.optimizer: ", "'type'"),
        edited('type="SGD", lr', "lr"),
    ),
    "unknown key": Bad(
        ("config.py:15: train_cfg: ", "'max_epoch'", "Did you mean 'max_epochs'?"),
        edited("max_epochs", "max_epoch"),
    ),
    "unknown entry": Bad(
        ("config.py:10: 'train_dataloder'", "Did you mean 'train_dataloader'?"),
        edited("train_dataloader", "train_dataloder"),
    ),
    "wrong type in torch": Bad(
        (
            "config.py:7: model.module: TypeError: ",
            "while building model 'torch.nn.Linear'",
            "in_features='two'",
            "raised in ",
            "linear.py:",
        ),
        edited("in_features=2", "in_features='two'"),
    ),
    "wrong type of ours": Bad(
        ("default_hooks.logger: LoggerHook: interval=-3: give a whole number",),
        changes=("default_hooks.logger.interval=-3",),
    ),
    "wrong value in torch": Bad(
        ("config.py:10: train_dataloader: ", "num_workers option"),
        edited("batch_size=2", "batch_size=2, num_workers=-1"),
    ),
    **{
        f"{name} is a number": Bad((f"{name}", "found an int"), changes=(f"{name}=3",))
        for name in (
            "custom_hooks",
            "default_hooks",
            "load_from",
            "log_processor",
            "model",
            "model_wrapper_cfg",
            "optim_wrapper",
            "param_scheduler",
            "randomness",
            "train_cfg",
            "visualizer",
        )
    },
    **{
        f"{change}": Bad((says,), changes=(change,))
        for change, says in (
            ("work_dir=3", "work_dir: expected the path of a folder, found an int"),
            ("experiment_name=3", "experiment_name: expected text, found an int"),
            ("resume=3", "resume=3: give True, False or 'exact'"),
            ("train_cfg.by_epoch=no", "train_cfg: by_epoch='no': give True or False"),
            ("env_cfg.cudnn_benchmark=no", "cudnn_benchmark='no': give True or False"),
            ("env_cfg.mp_cfg.opencv_num_threads=a", "opencv_num_threads='a': give a"),
            ("randomness.seed=true", "randomness.seed=True: give a whole number"),
            ("randomness.deterministic=no", "deterministic='no': give True or False"),
            ("randomness.diff_rank_seed=1", "diff_rank_seed=1: give True or False"),
            ("sync_bn=mm", "sync_bn='mm': give 'torch', or leave it out"),
            ("find_unused_parameters=no", "find_unused_parameters='no': give True or"),
            ("find_unused_parameter=true", "Did you mean 'find_unused_parameters'?"),
            ("train_dataloader=3", "train_dataloader: dataloader: expected a loader"),
            ("train_dataloader=abc", "expected a loader or a spec of one, found a str"),
            ("train_dataloader.sampler=3", "train_dataloader.sampler: expected a sam"),
            ("train_dataloader.batch_sampler=abc", "batch_sampler: expected a sampler"),
            ("train_dataloader.collate_fn=3", "collate_fn: expected a function, its"),
            (
                "train_dataloader.worker_init_fn=3",
                "worker_init_fn: expected a function",
            ),
            ("train_dataloader.num_workers=1.5", "num_workers=1.5: give a number of"),
        )
    },
    "cycle": Bad(
        ("the bases go in a circle: config.py -> other.py -> config.py",),
        {"config.py": "_base_ = 'other.py'\n", "other.py": "_base_ = 'config.py'\n"},
    ),
    "duplicate keys": Bad(
        ("config.py:1: one.py and two.py both set 'x'", "drop it from one"),
        {"config.py": "_base_ = ['one.py', 'two.py']\n"}
        | {"one.py": "x = 1\n", "two.py": "x = 2\n"},
    ),
    "syntax error": Bad(
        ("base.py:2: '(' was never closed: y = (",),
        {"config.py": "_base_ = 'base.py'\n", "base.py": "x = 1\ny = (\n"},
    ),
    "error in the file": Bad(
        ("config.py:2: ZeroDivisionError: ",), {"config.py": "x = 0\ny = 1 / x\n"}
    ),
    "custom_imports": Bad(
        ("config.py:1: custom_imports: cannot import 'nowhere.parts'", "'nowhere'"),
        {"config.py": "custom_imports = dict(imports=['nowhere.parts'])\n" + GOOD},
    ),
    "missing list index": Bad(
        ("there is no custom_hooks[2]: the list custom_hooks has 1 item",),
        edited("model = dict(", "custom_hooks = [1]\nmodel = dict("),
        ("custom_hooks.2=3",),
    ),
    "step without a name": Bad(
        ("the path 'model..type' has a step without a name",),
        changes=("model..type=1",),
    ),
    "no override": Bad(("'lr' is no override: write path=value",), changes=("lr",)),
    "groups in part": Bad(
        (
            "config.py:17: val_cfg given without val_dataloader, val_evaluator",
            "together, or none of them",
        ),
        {"config.py": GOOD + "val_cfg = dict()\n"},
    ),
    "type and by_epoch": Bad(
        ("config.py:15: train_cfg: give 'type'", "'by_epoch'", "not both"),
        edited("by_epoch=True", "type='EpochBasedTrainLoop', by_epoch=True"),
    ),
    "empty config": Bad(("config.py lacks model",), {"config.py": ""}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_config_is_one_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what it must, once; with --debug the error itself comes out."""
    bad = CASES[name]
    monkeypatch.chdir(tmp_path)
    for file, text in {"config.py": GOOD, **bad.files}.items():
        Path(file).write_text(text)
    call = ["train", "config.py", *(f"--set={one}" for one in bad.changes)]
    done = RUNNER.invoke(app, call)
    assert done.exit_code == 2, done.output
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.output
    _, _, message = done.stderr.partition("error: ")
    for part in bad.says:
        assert part in message
        message = message.partition(part)[2]
    shown = RUNNER.invoke(app, [*call, "--debug"])
    assert shown.exit_code == 1
    assert shown.exception is not None


def test_the_good_config_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So each case fails for what is changed in it."""
    monkeypatch.chdir(tmp_path)
    Path("config.py").write_text(GOOD)
    done = RUNNER.invoke(app, ["train", "config.py"])
    assert done.exit_code == 0, done.output
