"""verify_resume: it passes what resumes exactly, and names what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import ConfigError, EngineError
from engine.testing import verify_resume
from engine.testing.trial import Trial, trial_config
from tests.trials import ForkedTrials

if TYPE_CHECKING:
    from pathlib import Path

INSIDE = "inside an epoch and an accumulation window"

CONFIG = '''
import time
import torch
from torch import nn
from engine import BaseMetric, Hook
from engine.testing import ToyData, toy_model


class Memory(Hook):
    """Damps the rate by how often it was called."""

    def __init__(self):
        self.calls = 0

    def after_train_iter(self, runner, *_, **__):
        self.calls += 1
        for group in runner.optim_wrapper.param_groups:
            group["lr"] = 0.1 / (1 + self.calls)


class Kept(Memory):
    def state_dict(self):
        return {"calls": self.calls}

    def load_state_dict(self, state):
        self.calls = state["calls"]


class Lost(Kept):
    def load_state_dict(self, state):
        pass


class Stubborn(Kept):
    def load_state_dict(self, state):
        raise ZeroDivisionError("mine")


class OfRank1(Hook):
    """Draws more each time, on one rank."""

    def __init__(self):
        self.calls = 0

    def after_train_iter(self, runner, *_, **__):
        self.calls += runner.rank
        torch.rand(self.calls)


class Private(ToyData):
    """Moves its points by a generator of its own."""

    def __init__(self):
        super().__init__(16)
        self.generator = torch.Generator().manual_seed(0)

    def __getitem__(self, index):
        point, label = super().__getitem__(index)
        return point + torch.randn(4, generator=self.generator), label


class Clocked(ToyData):
    """Moves its points by the clock."""

    def __getitem__(self, index):
        point, label = super().__getitem__(index)
        return point + time.perf_counter() % 1, label


class Mean(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += [float(sample["outputs"].mean()) for sample in data_samples]

    def compute_metrics(self, results):
        return {"mean": sum(results) / len(results)}


def loader(dataset):
    return dict(
        dataset=dataset, batch_size=4, shuffle=True, collate_fn="default_collate"
    )


model = dict(type="StepModel", module=toy_model(), loss=nn.functional.cross_entropy)
train_dataloader = loader(ToyData(16, augment=True))
train_cfg = dict(max_epochs=9)
val_dataloader = loader(ToyData(6))
val_cfg = dict()
val_evaluator = Mean()
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1), accumulative_counts=3)
default_hooks = dict(checkpoint=dict(save_best="mean", rule="greater"))
'''


@pytest.fixture(autouse=True)
def forked_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials in forked processes: an interpreter for each takes seconds."""
    monkeypatch.setattr("engine.testing.resume_check.TrialServer", ForkedTrials)
    monkeypatch.setattr(
        "engine.testing.resume_check.perform_anew", ForkedTrials.perform
    )


def write(folder: Path, more: str = "", text: str = CONFIG) -> Path:
    """A config file."""
    path = folder / "toy.py"
    path.write_text(f"{text}\n{more}\n")
    return path


def verify(folder: Path, more: str = "", **changes: Any) -> tuple[bool, str]:
    """What is found of the config with ``more`` in it."""
    told: list[str] = []
    settings: dict[str, Any] = {"points": 1, "iterations": 6, **changes}
    report = verify_resume(write(folder, more), tell=told.append, **settings)
    return bool(report), "\n".join(told)


def test_a_run_that_resumes_exactly_passes(tmp_path: Path) -> None:
    """At every place of it, with other workers; hooks may remember."""
    good, told = verify(
        tmp_path,
        "custom_hooks = [Kept()]",
        points=4,
        workers=[0, 1],
        work_dir=tmp_path / "trials",
    )
    assert good, told
    assert told.splitlines() == [
        (
            "The unbroken run: 6 iterations, an epoch has 2, validations after "
            "[2, 4, 6]. 5 trials follow."
        ),
        "stopped at every place and gone on with in one process: same",
        f"resumed after iteration 1 ({INSIDE}) with 0 workers: same",
        "resumed after iteration 2 (before a validation) with 1 workers: same",
        "resumed after iteration 2 (after a validation) with 0 workers: same",
        f"resumed after iteration 5 ({INSIDE}) with 1 workers: same",
    ]
    assert (tmp_path / "trials" / "resumed_3" / "end.pth").is_file()
    with pytest.raises(ConfigError, match="trials: not empty: give verify-resume a"):
        verify(tmp_path, work_dir=tmp_path / "trials")


@pytest.mark.parametrize(
    ("more", "first", "reason"),
    [
        (
            "custom_hooks = [Memory()]",
            "first in iteration 2: lr (",
            "suspect: hook 'Memory' has attributes and no state_dict()",
        ),
        (
            "custom_hooks = [Lost()]",
            "first in iteration 2: lr (",
            "not brought back: hook 'Lost'['calls']: 1 and 0, a difference of 1",
        ),
        (
            "train_dataloader = loader(Private())",
            "first in iteration 2: samples, loss (",
            "suspect: the dataset's Private.generator is a generator of its own",
        ),
    ],
    ids=["hook", "load_state_dict", "dataset"],
)
def test_what_is_not_resumed_is_named(
    more: str, first: str, reason: str, tmp_path: Path
) -> None:
    """The iteration and the part that part, what differs at the end, and why."""
    good, told = verify(tmp_path, more)
    lines = [line.strip() for line in told.splitlines()]
    assert not good
    assert lines[1].endswith("one process: same")
    assert lines[2].endswith(": DIFFERS")
    assert lines[3].startswith(first)
    assert lines[4].startswith("at the end: ")
    assert any(line.startswith(reason) for line in lines), told


@pytest.mark.distributed
def test_ranks_are_compared_each(tmp_path: Path) -> None:
    """Whole and equal; or what is not resumed on one of them."""
    good, told = verify(tmp_path, "custom_hooks = [Kept()]", nproc=2)
    assert good, told
    good, told = verify(tmp_path, "custom_hooks = [OfRank1()]", nproc=2)
    assert not good
    assert "  first in iteration 2 of rank 1: generators\n" in told
    assert "suspect: hook 'OfRank1' has attributes and no state_dict()" in told
    of_rank_0 = "[nn.functional.cross_entropy(*a)][int(os.environ['RANK'])]"
    fails = f"import os\nmodel['loss'] = lambda *a: {of_rank_0}"
    with pytest.raises(EngineError, match="unbroken run fails: IndexError: list index"):
        verify(tmp_path, fails, nproc=2)


def test_a_resume_that_fails_is_a_finding(tmp_path: Path) -> None:
    """With the error's text."""
    good, told = verify(tmp_path, "custom_hooks = [Stubborn()]")
    assert not good
    assert told.endswith("the resumed run fails: ZeroDivisionError: mine")


def test_a_run_that_is_never_the_same_is_told_apart(tmp_path: Path) -> None:
    """There is nothing that a resume could repeat."""
    good, told = verify(tmp_path, "train_dataloader = loader(Clocked())")
    assert not good
    assert "two unbroken runs: DIFFERS\n  before any stop, in iteration 1: sam" in told


def test_mistakes_are_one_message(tmp_path: Path) -> None:
    """Numbers out of range, a config that cannot be built, and one without training."""
    with pytest.raises(ConfigError, match=r"verify-resume: points=0: give a number"):
        verify(tmp_path, points=0)
    with pytest.raises(ConfigError, match=r"verify-resume: workers=\[-1\]: give"):
        verify(tmp_path, workers=[-1])
    with pytest.raises(ConfigError, match="verify-resume: nproc=0: give a number"):
        verify(tmp_path, nproc=0)
    with pytest.raises(ConfigError, match=r"the unbroken run fails: .*unknown key"):
        verify(tmp_path, "randomness = dict(sed=0)")
    with pytest.raises(ConfigError, match=r"no train_cfg: there is no training"):
        verify(tmp_path, "train_cfg = None")
    with pytest.raises(ConfigError, match=r"the run has 1 iteration: there is no pla"):
        verify(tmp_path, "train_cfg = dict(max_epochs=1)", iterations=1)


def test_a_rank_starts_no_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rank of torchrun's would make all of them."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="start it once, without torchrun, and with"):
        verify(tmp_path)


def test_an_error_of_the_users_code_keeps_its_traceback(tmp_path: Path) -> None:
    """As a note."""
    with pytest.raises(EngineError, match="fails: ZeroDivisionError") as caught:
        verify(tmp_path, "model['loss'] = lambda *_: 1 / 0")
    assert "Traceback" in vars(caught.value)["__notes__"][0]


def config_of(folder: Path, more: str, **changes: Any) -> dict[str, Any]:
    """The config that a trial trains."""
    trial = Trial(
        config=str(write(folder, more, "train_dataloader = dict(num_workers=4)")),
        folder=str(folder / "trial"),
        **{"iterations": 12, **changes},
    )
    return dict(trial_config(trial))


def test_a_trial_stays_in_its_folder_and_is_short(tmp_path: Path) -> None:
    """Outside backends and folders of the user's are taken out; lengths stay."""
    found = config_of(
        tmp_path,
        "train_cfg = dict(max_iters=900, val_interval=500)\n"
        "visualizer = dict(vis_backends=[dict(type='WandbVisBackend')])\n"
        "default_hooks = dict(checkpoint=dict(interval=5, out_dir='s3://b'))\n"
        "custom_hooks = [dict(type='CheckpointHook', out_dir='/x'), object()]\n",
    )
    assert found["train_cfg"] == {"max_iters": 900, "val_interval": 4}
    assert found["work_dir"] == str(tmp_path / "trial" / "work_dir")
    assert found["visualizer"] == {"vis_backends": [{"type": "LocalVisBackend"}]}
    assert found["default_hooks"] == {"checkpoint": {"interval": 5}, "progress": None}
    assert found["custom_hooks"][0] == {"type": "CheckpointHook"}
    assert found["custom_hooks"][2]["type"] == "LedgerHook"
    assert found["randomness"] == {"seed": 0}


def test_workers_are_changed_with_what_depends_on_them(tmp_path: Path) -> None:
    """A loader without workers takes no prefetch factor."""
    more = (
        "train_cfg = dict(max_epochs=2, val_interval=5)\nrandomness = dict(seed=3)\n"
        "train_dataloader.update(persistent_workers=True, prefetch_factor=4)\n"
    )
    found = config_of(tmp_path, more, workers=0)
    assert found["train_dataloader"] == {"num_workers": 0}
    assert found["train_cfg"] == {"max_epochs": 2, "val_interval": 2}
    assert found["randomness"] == {"seed": 3}
    found = config_of(tmp_path, more, workers=2)
    assert found["train_dataloader"]["prefetch_factor"] == 4
    with pytest.raises(ConfigError, match="train_dataloader is a finished loader"):
        config_of(tmp_path, f"{more}train_dataloader = [1]", workers=2)
