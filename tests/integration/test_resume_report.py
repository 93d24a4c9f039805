"""What a resume says, what ``"exact"`` refuses, and where the logs go on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from engine import CheckpointHook, Hook, TrainEngine
from engine.errors import CheckpointDamagedError, CheckpointError, InexactResumeError
from tests import forked
from tests.runs import Recorder, RunPlan, make_runner, story, train

if TYPE_CHECKING:
    from pathlib import Path

    from engine.state import RunContext

PLAN = RunPlan(max_epochs=2, accumulate=2, watched=True)
TIMES = ("time", "data_time", "eta", "memory", "elapsed", "timestamp")


class Forgets(Hook):
    """Counts, and tells nobody."""

    def __init__(self) -> None:
        self.count = 0

    def after_train_iter(self, runner: RunContext, *args: Any, **more: Any) -> None:
        self.count += 1


def hooks(*more: Hook) -> list[Hook]:
    """The toy run's own, and more."""
    return [Recorder(), CheckpointHook(interval=1, by_epoch=False), *more]


def test_all_parts_of_a_plain_run_are_exact(tmp_path: Path) -> None:
    """So ``resume="exact"`` goes on, and the report names the parts."""
    train(PLAN, tmp_path / "a", custom_hooks=hooks())
    runner = make_runner(
        PLAN,
        tmp_path / "b",
        custom_hooks=hooks(),
        load_from=tmp_path / "a" / "iter_2.pth",
        resume="exact",
    )
    runner.train()
    report = runner.trainer.resume_report
    assert report is not None
    assert report.is_exact
    for part in (
        "weights",
        "optimizer",
        "schedules",
        "generators",
        "train data: order",
    ):
        assert part in {one.part for one in report.parts}


def test_a_forgetful_hook_is_listed_and_refused(tmp_path: Path) -> None:
    """By its name and the attribute that changed; ``resume=True`` goes on."""
    train(PLAN, tmp_path / "a", custom_hooks=hooks(Forgets()))
    given: dict[str, Any] = {"load_from": tmp_path / "a" / "iter_2.pth"}
    exact = make_runner(
        PLAN, tmp_path / "b", custom_hooks=hooks(Forgets()), resume="exact", **given
    )
    with pytest.raises(InexactResumeError, match="hook 'Forgets': its count had"):
        exact.train()
    assert exact.iter == 0
    runner = make_runner(
        PLAN, tmp_path / "c", custom_hooks=hooks(Forgets()), resume=True, **given
    )
    runner.train()
    assert "lost: hook 'Forgets'" in str(runner.trainer.resume_report)


def test_changed_settings_are_classed(tmp_path: Path) -> None:
    """Workers and validation are free; a clipping that is new is refused."""
    train(PLAN, tmp_path / "a", custom_hooks=hooks())
    given: dict[str, Any] = {
        "load_from": tmp_path / "a" / "iter_2.pth",
        "resume": "exact",
    }
    free = RunPlan(max_epochs=2, accumulate=2, watched=True, workers=1, val_interval=2)
    make_runner(free, tmp_path / "b", custom_hooks=hooks(), **given).train()
    clipped = {
        "optimizer": {"type": "Adam", "lr": 0.05},
        "accumulative_counts": 2,
        "clip_grad": {"max_norm": 1.0},
    }
    other = make_runner(
        PLAN, tmp_path / "c", custom_hooks=hooks(), optim_wrapper=clipped, **given
    )
    with pytest.raises(
        InexactResumeError, match=r"setting optim_wrapper\.clip_grad\.max_norm: was not"
    ):
        other.train()


def test_data_that_is_replayed_is_refused(tmp_path: Path) -> None:
    """An engine composed in code finds out when it is given the data."""

    def compose() -> TrainEngine:
        return TrainEngine(lambda _, batch: batch, work_dir=tmp_path)

    data = DataLoader(TensorDataset(torch.arange(6)), batch_size=2)
    first = compose()
    first.run(data, max_epochs=1)
    first.save_checkpoint(tmp_path / "one.pth")
    second = compose()
    assert second.resume(tmp_path / "one.pth", exact=True).is_exact
    second.run(data, max_epochs=2)
    third = compose()
    third.resume(tmp_path / "one.pth", exact=True)
    with pytest.raises(InexactResumeError, match="best effort: train data"):
        third.run(iter([1, 2, 3]), max_epochs=2)


def lines(work_dir: Path) -> list[dict[str, Any]]:
    """The metrics that a run wrote, without times."""
    (file,) = work_dir.glob("*/vis_data/scalars.json")
    found = [json.loads(line) for line in file.read_text().splitlines()]
    return [{k: v for k, v in one.items() if k not in TIMES} for one in found]


@pytest.mark.parametrize("cut", ["iter_1", "iter_3", "iter_4", "iter_6"])
def test_metrics_go_on_in_the_first_starts_file(cut: str, tmp_path: Path) -> None:
    """Cut back to the checkpoint, it ends as the unbroken run's; no step is twice."""
    train(PLAN, tmp_path / "whole", custom_hooks=hooks())
    whole = train(PLAN, tmp_path / "cut", custom_hooks=hooks())
    folder = whole.log_dir
    resumed = train(
        PLAN,
        tmp_path / "cut",
        resume_from=tmp_path / "cut" / f"{cut}.pth",
        custom_hooks=hooks(),
    )
    assert resumed.log_dir == folder
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")


def test_metrics_of_another_folder_are_left_alone(tmp_path: Path) -> None:
    """A run that goes on in a new work dir begins a file there."""
    train(PLAN, tmp_path / "a", custom_hooks=hooks())
    before = lines(tmp_path / "a")
    train(
        PLAN,
        tmp_path / "b",
        resume_from=tmp_path / "a" / "iter_3.pth",
        custom_hooks=hooks(),
    )
    assert lines(tmp_path / "a") == before
    assert [one["step"] for one in lines(tmp_path / "b")][-2:] == [6, 2]


def test_a_damaged_checkpoint_names_no_folder(tmp_path: Path) -> None:
    """It is passed over while the folder is looked for, and refused in its place."""
    train(PLAN, tmp_path / "a", custom_hooks=hooks())
    bad = tmp_path / "a" / "iter_3.pth"
    bad.write_bytes(bad.read_bytes()[:100])
    runner = make_runner(
        PLAN, tmp_path / "a", custom_hooks=hooks(), load_from=bad, resume=True
    )
    with pytest.raises(CheckpointDamagedError, match="iter_3"):
        runner.train()


def test_the_command_takes_exact(tmp_path: Path) -> None:
    """``--resume exact`` refuses with one message and exit code 2."""
    config = tmp_path / "config.py"
    config.write_text(
        """\
from torch.utils.data import IterableDataset
import torch
from engine import DATASETS, StepModel

@DATASETS.register_module()
class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.ones(2), torch.ones(1)

model = dict(type="StepModel", module=dict(type="torch.nn.Linear", in_features=2,
    out_features=1), loss=dict(type="torch.nn.MSELoss"))
train_dataloader = dict(dataset=dict(type="Endless"), batch_size=2,
    collate_fn="default_collate")
train_cfg = dict(by_epoch=False, max_iters=4)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1))
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=2))
"""
    )
    call: list[str | Path] = ["-m", "engine", "train", config]
    call += ["--work-dir", tmp_path / "run"]
    done = forked.run(*call, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    longer = ["--set", "train_cfg.max_iters=6"]
    refused = forked.run(*call, *longer, "--resume", "exact", cwd=tmp_path)
    assert refused.returncode == 2, refused.stderr
    assert 'resume="exact": not everything in this run can be' in refused.stderr
    assert "Traceback" not in refused.stderr
    done = forked.run(*call, *longer, "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Resume: best effort: train data" in done.stderr


def test_another_kind_of_optimizer_is_refused(tmp_path: Path) -> None:
    """Before anything is trained; torch would take its state, and fail in a step."""
    plan = RunPlan(max_epochs=1)
    train(plan, tmp_path)
    other = make_runner(
        plan, tmp_path, resume=True, optim_wrapper={"optimizer": {"type": "RMSprop"}}
    )
    told = r"the checkpoint's optimizer is torch\S*Adam, and this run's torch\S*RMSprop"
    with pytest.raises(CheckpointError, match=told):
        other.train()


def test_a_new_rate_is_said_to_have_no_effect(tmp_path: Path) -> None:
    """The saved optimizer goes on; the run is the one that it was."""
    plan = RunPlan(max_epochs=2, schedule="none")
    whole = train(plan, tmp_path / "whole")
    cut = tmp_path / "whole" / "epoch_1.pth"
    other = {"optimizer": {"type": "Adam", "lr": 0.5}, "accumulative_counts": 1}
    rest = make_runner(
        plan,
        tmp_path / "rest",
        load_from=cut,
        resume=True,
        optim_wrapper=other,
        log_level="WARNING",
    )
    rest.train()
    assert story(rest) == story(whole)
    log = rest.log_dir / f"{rest.log_dir.name}.log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (line,) = [line for line in lines if line["event"] == "setting_changed"]
    assert line["path"] == "optim_wrapper.optimizer.lr"
    assert "no effect: the saved optimizer goes on" in line["effect"]
