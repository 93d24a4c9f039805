"""Wrong optimization on the command line: one message, no traceback, exit code 2.

Each is told when the run is built, or at its first step: before anything is saved.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from engine.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator

GOOD = """import torch
from torch.utils.data import TensorDataset

data = dict(
    dataset=TensorDataset(torch.zeros(4, 2), torch.zeros(4, 1)),
    batch_size=2,
    collate_fn="default_collate",
)
model = dict(
    type="StepModel",
    module=dict(type="torch.nn.Linear", in_features=2, out_features=1),
    loss=dict(type="torch.nn.MSELoss"),
)
train_dataloader = data
train_cfg = dict(max_epochs=2)
"""
OPTIMIZER = 'optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1))\n'
LOSS = 'loss=dict(type="torch.nn.MSELoss")'
RUNNER = CliRunner()


def schedule(spec: str) -> str:
    """The good config with a schedule."""
    return f"{GOOD}{OPTIMIZER}param_scheduler = {spec}\n"


def wrapper(spec: str) -> str:
    """The good config with another optimizer wrapper."""
    return f"{GOOD}optim_wrapper = {spec}\n"


def with_sgd(more: str) -> str:
    """The good config with more settings of its optimizer wrapper."""
    return wrapper(f'dict(optimizer=dict(type="SGD", lr=0.1), {more})')


def amp(more: str) -> str:
    """The good config in mixed precision."""
    return with_sgd(f'type="AmpOptimWrapper", {more}')


def hook(more: str) -> str:
    """The good config with an average."""
    return f'{GOOD}{OPTIMIZER}custom_hooks = [dict(type="EMAHook", {more})]\n'


CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    # the list
    "schedule without optimizer": (
        GOOD.replace("train_", "# train_") + 'param_scheduler=dict(type="LinearLR")\n',
        ("param_scheduler given without optim_wrapper: it has nothing to act on",),
    ),
    "begin is end": (
        schedule('[dict(type="LinearLR", begin=3, end=3)]'),
        ("param_scheduler[0]: LinearLR: begin is 3 and end 3, but a schedule acts",),
    ),
    "begin behind the run": (
        schedule('dict(type="LinearLR", begin=3)'),
        ("param_scheduler[0]: LinearLR: begin is 3 and end 2",),
    ),
    "milestones out of order": (
        schedule('[dict(type="LinearLR"), dict(type="MultiStepLR", milestones=[4,2])]'),
        ("param_scheduler[1]: MultiStepLR: milestones are [4, 2]", "Write [2, 4]"),
    ),
    "T_max 0": (
        schedule('dict(type="CosineAnnealingLR", T_max=0)'),
        ("CosineAnnealingLR: T_max is 0, but it is a number of steps above 0",),
    ),
    "unknown parameter to schedule": (
        schedule('dict(type="LinearParamScheduler", param_name="lrr")'),
        ("param_groups[0] of SGD has no 'lrr' to schedule. Did you mean 'lr'?",),
    ),
    "unknown parameter of the model": (
        with_sgd('paramwise_cfg=dict(custom_keys={"biass": dict(lr_mult=2.0)})'),
        ("no parameter's name contains 'biass'. Did you mean 'bias'?",),
    ),
    "negative norm": (
        with_sgd("clip_grad=dict(max_norm=-1)"),
        ("optim_wrapper: clip_grad: max_norm is -1, but it is a length",),
    ),
    "accumulation 0": (
        with_sgd("accumulative_counts=0"),
        ("accumulative_counts is 0, but it is a number of iterations", "at least 1"),
    ),
    "float16 on the CPU": (
        amp('dtype="float16"'),
        ("AmpOptimWrapper: dtype is float16, which this CPU", "Use bfloat16 here"),
    ),
    "several optimizers without a constructor": (
        wrapper('dict(a=dict(optimizer=dict(type="SGD", lr=0.1)))'),
        ("optim_wrapper: needs 'optimizer', found ['a']", "'constructor' that makes"),
    ),
    "loss without grad": (
        GOOD.replace(LOSS, "loss=lambda out, _: out.detach().sum()") + OPTIMIZER,
        ("the loss is a tensor that does not require grad", "after 0 iterations"),
    ),
    "loss that is no scalar": (
        GOOD.replace(LOSS, 'loss=dict(type="torch.nn.MSELoss", reduction="none")')
        + OPTIMIZER,
        ("a tensor of shape (2, 1), but one element is needed", "after 0 iterations"),
    ),
    # what is as easily written
    "loss that is a number": (
        GOOD.replace(LOSS, "loss=lambda *_: 3.0") + OPTIMIZER,
        ("the loss function returned a float, but a tensor", "after 0 iterations"),
    ),
    "begin that is no step": (
        schedule('dict(type="LinearLR", begin=0.5)'),
        ("LinearLR: begin is 0.5, but it is a whole number of steps",),
    ),
    "end that is a word": (
        schedule('dict(type="PolyLR", end="never")'),
        ("PolyLR: end is 'never', but it is a number",),
    ),
    "milestone that is never reached": (
        schedule('dict(type="MultiStepLR", milestones=[1, 1.5])'),
        ("MultiStepLR: milestone is 1.5, but it is a whole number of steps",),
    ),
    "milestone below 0": (
        schedule('dict(type="MultiStepLR", milestones=[-1])'),
        ("MultiStepLR: a milestone is -1, but steps count from 0",),
    ),
    "one milestone": (
        schedule('dict(type="MultiStepLR", milestones=4)'),
        ("milestones is 4, but it is a list of steps",),
    ),
    "T_max that is a word": (
        schedule('dict(type="CosineAnnealingLR", T_max="all")'),
        ("CosineAnnealingLR: T_max is 'all', but it is a number",),
    ),
    "period that is a word": (
        schedule(
            'dict(type="CosineRestartLR", periods=[2], restart_weights=["a"],eta_min=0)'
        ),
        ("CosineRestartLR: restart_weight is 'a', but it is a number",),
    ),
    **{
        f"{name} of {kind} is a word": (
            schedule(f'dict(type="{kind}", {name}="a", {more})'),
            (f"param_scheduler[0]: {kind}: {name} is 'a', but it is a number",),
        )
        for kind, name, more in (
            ("ConstantLR", "factor", ""),
            ("CosineAnnealingLR", "eta_min", ""),
            ("CosineAnnealingLR", "eta_min_ratio", ""),
            ("ExponentialLR", "gamma", ""),
            ("LinearLR", "start_factor", ""),
            ("MultiStepLR", "gamma", "milestones=[1]"),
            ("OneCycleLR", "eta_max", ""),
            ("OneCycleLR", "pct_start", "eta_max=0.1"),
            ("PolyLR", "power", ""),
            ("ReduceOnPlateauLR", "factor", ""),
            ("StepLR", "gamma", "step_size=1"),
        )
    },
    "division by 0": (
        schedule('dict(type="OneCycleLR", eta_max=0.1, div_factor=0)'),
        ("OneCycleLR: div_factor is 0, but it divides",),
    ),
    "plateau without validation": (
        schedule('[dict(type="ReduceOnPlateauLR", monitor="acc")]'),
        (
            "param_scheduler[0]: a ReduceOnPlateauLR waits for a validation's metrics",
            "Give val_dataloader",
        ),
    ),
    "plateau of another metric": (
        schedule('dict(type="ReduceOnPlateauLR", monitor="meann")')
        + 'val_dataloader = data\nval_cfg = dict()\nval_evaluator = dict(type="'
        "tests.runs.Spread\")\nmodel['loss'] = lambda out, _: out.sum()\n",
        ("ReduceOnPlateauLR: monitor is 'meann'", "Did you mean 'mean'?"),
    ),
    "schedule without type": (
        schedule("[dict(start_factor=0.1)]"),
        ("param_scheduler[0]: a spec needs 'type', the name of a schedule, found ",),
    ),
    "schedules by name of one optimizer": (
        schedule('dict(one=dict(type="LinearLR"))'),
        ("param_scheduler: needs 'type', found ['one']", "here is one"),
    ),
    "norm of no order": (
        with_sgd('clip_grad=dict(max_norm=1, norm_type="two")'),
        ("clip_grad: norm_type is 'two', but it is a number, or 'inf'",),
    ),
    "clip by a number": (
        with_sgd("clip_grad=1.0"),
        ("clip_grad is a float, not a mapping",),
    ),
    "unknown dtype": (
        amp('dtype="flot16"'),
        ("AmpOptimWrapper: dtype is 'flot16', allowed: ",),
    ),
    "loss scale below 0": (
        amp("loss_scale=-1.0"),
        ("AmpOptimWrapper: loss_scale is -1.0", "a number above 0"),
    ),
    "list of optimizers": (
        wrapper('dict(optimizer=[dict(type="SGD", lr=0.1)])'),
        ("needs 'optimizer', the spec of one, found a list",),
    ),
    "unknown rule": (
        with_sgd("paramwise_cfg=dict(bias_lr_mul=2.0)"),
        ("unknown key 'bias_lr_mul'. Did you mean 'bias_lr_mult'?",),
    ),
    "rule that is a word": (
        with_sgd('paramwise_cfg=dict(bias_lr_mult="twice")'),
        ("bias_lr_mult is 'twice', but it is a number to multiply with",),
    ),
    "rule of a name that is a word": (
        with_sgd('paramwise_cfg=dict(custom_keys={"bias": dict(lr_mult="twice")})'),
        ("custom_keys['bias']: lr_mult is 'twice', but it is a number",),
    ),
    "rule for a rate that is not given": (
        wrapper('dict(optimizer=dict(type="Adam"),paramwise_cfg=dict(bias_lr_mult=2))'),
        ("'bias_lr_mult' multiplies the learning rate", "given none. Give it lr"),
    ),
    "rule for a decay that is not given": (
        with_sgd("paramwise_cfg=dict(norm_decay_mult=0)"),
        ("'norm_decay_mult' multiplies the weight decay", "Give it weight_decay"),
    ),
    "optimizer that needs a closure": (
        wrapper('dict(optimizer=dict(type="LBFGS"))'),
        ("LBFGS evaluates the model several times a step", "after 0 iterations"),
    ),
    "state spread over one process": (
        wrapper(
            'dict(optimizer=dict(type="ZeroRedundancyOptimizer",'
            'optimizer_type="Adam", lr=0.1))'
        ),
        ("there is no process group. In one process use Adam itself",),
    ),
    "scaled by no size": (
        GOOD + OPTIMIZER + "auto_scale_lr = dict(enable=True, base_batch_size=0)\n",
        ("auto_scale_lr: base_batch_size=0: give the samples of one step",),
    ),
    "scaled perhaps": (
        GOOD + OPTIMIZER + 'auto_scale_lr = dict(enable="a", base_batch_size=2)\n',
        ("auto_scale_lr: enable='a': give True or False",),
    ),
    "average that never begins": (
        hook("begin_epoch=7"),
        ("EMAHook: begin_epoch is 7, but the run ends with 2", "after 0 iterations"),
    ),
    "average of no kind": (
        hook('ema_type="ExponentialMovingAvrage"'),
        ("custom_hooks[0]: ", "Did you mean 'ExponentialMovingAverage'?"),
    ),
    "average with a momentum of 2": (
        hook("momentum=2.0"),
        ("ExponentialMovingAverage: momentum is 2.0", "between 0 and 1"),
    ),
    "average with a momentum that is a word": (
        hook('momentum="a"'),
        ("ExponentialMovingAverage: momentum is 'a'", "between 0 and 1"),
    ),
    "average with a gamma that is a word": (
        hook('ema_type="MomentumAnnealingEMA", gamma="a"'),
        ("MomentumAnnealingEMA: gamma is 'a'. Take 1 or more",),
    ),
}


@pytest.fixture(autouse=True)
def _no_file_is_left_open() -> Iterator[None]:
    """A run that is gone has closed its files: else Python warns, and that fails."""
    yield
    gc.collect()


def call(text: str) -> tuple[int, str]:
    """The exit code of ``engine train``, and what it wrote to its error stream."""
    Path("config.py").write_text(text)
    done = RUNNER.invoke(app, ["train", "config.py", "--work-dir", "run"])
    assert "Traceback" not in done.output
    return done.exit_code, done.stderr


@pytest.mark.parametrize("name", CASES)
def test_wrong_optimization_is_one_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what it must, once, and nothing was saved."""
    monkeypatch.chdir(tmp_path)
    text, says = CASES[name]
    code, told = call(text)
    assert (code, told.count("error: ")) == (2, 1), told
    _, _, message = told.partition("error: ")
    for part in says:
        assert part in message
        message = message.partition(part)[2]
    saved = [one for one in Path("run").glob("*.pth") if one.stem != "epoch_1"]
    assert saved == []


def test_the_good_config_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So each case fails for what is changed in it."""
    monkeypatch.chdir(tmp_path)
    code, told = call(GOOD + OPTIMIZER)
    assert code == 0, told
