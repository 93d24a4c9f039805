"""Every bad input of the first issue: one clear error of our own, and nothing lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from attrs import frozen
from torch import nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

from engine import CheckpointHook, Hook, Phase, Runner, RunState, TrainEngine
from engine.checkpoint import Store, read
from engine.errors import (
    CheckpointDamagedError,
    CheckpointNotFoundError,
    ConfigError,
    DataError,
    EngineError,
    HookError,
    ModelError,
    PriorityError,
    StateError,
)
from tests.runs import RunPlan, Samples, make_runner, train

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAN = RunPlan(max_epochs=3, size=6, batch_size=3)


class Short(Sampler[int]):
    """Says it has six, gives four."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(4))

    def __len__(self) -> int:
        return 6


class Liar(list[Any]):
    """A list of batches that says it has one more."""

    def __len__(self) -> int:
        return super().__len__() + 1


def plain_trainer() -> TrainEngine:
    """A composed trainer that does nothing."""
    return TrainEngine(lambda _, batch: batch, RunState(seed=0))


def loader(**settings: Any) -> dict[str, Any]:
    """A Runner's training data with other settings."""
    return {
        "train_dataloader": {
            "dataset": Samples(6),
            "batch_size": 2,
            "collate_fn": "default_collate",
            **settings,
        }
    }


@frozen
class Bad:
    """A bad input of a Runner that trains and then resumes, or of a call.

    Args:
        error: Type of ours.
        says: Regular expressions for what the message must say: where and what was
            found, what is allowed or what to do.
        changes: Arguments of the Runner.
        call: Called with the work dir instead of making a Runner.
        iterations: Iterations that may have been done when it is found.
    """

    error: type[EngineError]
    says: tuple[str, ...]
    changes: dict[str, Any] | None = None
    call: Callable[[Path], object] | None = None
    iterations: int = 0


def _finished_run_trains_again(work_dir: Path) -> None:
    trainer = plain_trainer()
    trainer.run([1, 2], max_epochs=1)
    trainer.run([1, 2], max_epochs=1)


def _failed_run_trains_again(work_dir: Path) -> None:
    state = RunState(seed=0)
    state.move(Phase.TRAINING)
    state.fail()
    TrainEngine(lambda _, batch: batch, state).run([1], max_epochs=1)


def _damage(work_dir: Path, content: Callable[[bytes], Any]) -> None:
    path = work_dir / "bad.pth"
    whole = (work_dir / "iter_1.pth").read_bytes()
    made = content(whole)
    if isinstance(made, bytes):
        path.write_bytes(made)
    else:
        torch.save(made, path)
    train(PLAN, work_dir, resume_from=path)


NO_TRAINING = dict.fromkeys(("train_dataloader", "train_cfg", "optim_wrapper"))

TABLE = {
    "no training parts": Bad(
        ConfigError,
        (r"train\(\) needs train_dataloader, train_cfg, optim_wrapper", "none of them"),
        {**NO_TRAINING, "param_scheduler": None},
    ),
    "half of the training parts": Bad(
        ConfigError,
        ("train_dataloader, optim_wrapper given without train_cfg", "give .* together"),
        {"train_cfg": None},
    ),
    "a schedule without an optimizer": Bad(
        ConfigError,
        ("param_scheduler given without optim_wrapper", "nothing to act on"),
        {**NO_TRAINING, "param_scheduler": {"type": "LinearLR"}},
    ),
    "a model without train_step": Bad(
        ModelError, ("Linear", "train_step", "StepModel"), {"model": nn.Linear(1, 1)}
    ),
    "a model that is none": Bad(
        ConfigError,
        ("model: expected a torch.nn.Module", "found a str"),
        {"model": "x"},
    ),
    "an empty dataset": Bad(
        DataError,
        ("TensorDataset: 0 samples", "at least one batch"),
        loader(dataset=TensorDataset(torch.empty(0, 2))),
    ),
    "an empty dataset with a sampler": Bad(
        DataError,
        ("TensorDataset is empty", "at least one sample"),
        loader(
            dataset=TensorDataset(torch.empty(0, 2)), sampler={"type": "DefaultSampler"}
        ),
    ),
    "a dataset that drop_last leaves empty": Bad(
        DataError,
        ("Samples: 6 samples and drop_last leaves none",),
        loader(batch_size=7, drop_last=True),
    ),
    "a loader whose sampler ends early": Bad(
        DataError,
        ("the loader over Samples ended after 2 of 3 batches in pass 0", "Mend"),
        loader(sampler=Short()),
        iterations=2,
    ),
    "data that ends early": Bad(
        DataError,
        ("Liar ended after 2 of 3 batches in pass 0", "Give data"),
        {"train_dataloader": Liar(DataLoader(Samples(6), batch_size=3))},
        iterations=2,
    ),
    "max_epochs=0": Bad(
        ConfigError,
        ("train_cfg: max_epochs=0", "whole number of at least 1"),
        {"train_cfg": {"max_epochs": 0}},
    ),
    "max_epochs=-1": Bad(
        ConfigError,
        ("train_cfg: max_epochs=-1", "whole number of at least 1"),
        {"train_cfg": {"max_epochs": -1}},
    ),
    "max_epochs=2.5": Bad(
        ConfigError,
        (r"train_cfg: max_epochs=2\.5", "whole number of at least 1"),
        {"train_cfg": {"max_epochs": 2.5}},
    ),
    "max_iters=True": Bad(
        ConfigError,
        ("train_cfg: max_iters=True", "whole number of at least 1"),
        {"train_cfg": {"by_epoch": False, "max_iters": True}},
    ),
    "max_epochs=0 in code": Bad(
        StateError,
        ("max_epochs=0: give a whole number of at least 1",),
        call=lambda _: plain_trainer().run([1], max_epochs=0),
    ),
    "max_epochs=-1 in code": Bad(
        StateError,
        ("max_epochs=-1: give a whole number of at least 1",),
        call=lambda _: plain_trainer().run([1], max_epochs=-1),
    ),
    "max_epochs=2.5 in code": Bad(
        StateError,
        (r"max_epochs=2\.5: give a whole number of at least 1",),
        call=lambda _: plain_trainer().run([1], max_epochs=2.5),  # type: ignore[arg-type]
    ),
    "a hook that is no hook": Bad(
        HookError,
        ("is no hook", "a class derived from Hook"),
        {"custom_hooks": [object()]},
    ),
    "a hook's class": Bad(
        HookError, ("is no hook", "instance, not the class"), {"custom_hooks": [Hook]}
    ),
    "priority 101": Bad(
        PriorityError,
        ("priority 101", "from 0 to 100"),
        {"custom_hooks": [{"type": "IterTimerHook", "priority": 101}]},
    ),
    "a priority without a meaning": Bad(
        PriorityError,
        ("'LOWER'", "Did you mean 'LOW'"),
        {"custom_hooks": [{"type": "IterTimerHook", "priority": "LOWER"}]},
    ),
    "a phase move that is not allowed": Bad(
        StateError,
        ("cannot go from ready to finished at iteration 0", "allowed from here:"),
        call=lambda _: RunState(seed=0).move(Phase.FINISHED),
    ),
    "training a finished run": Bad(
        StateError,
        ("cannot go from finished to training", "Raise max_epochs"),
        call=_finished_run_trains_again,
    ),
    "training a failed run": Bad(
        StateError,
        ("cannot go from failed to training", "allowed from here: none"),
        call=_failed_run_trains_again,
    ),
    "a work dir below a file": Bad(
        ConfigError,
        ("work_dir .*iter_1.pth/below", "cannot be written", "that you may write"),
        call=lambda work_dir: make_runner(PLAN, work_dir / "iter_1.pth" / "below"),
    ),
    "a missing checkpoint": Bad(
        CheckpointNotFoundError,
        (r"no\.pth: there is no such checkpoint", r"holds 9, the newest: \['"),
        call=lambda work_dir: train(PLAN, work_dir, resume_from=work_dir / "no.pth"),
    ),
    "missing weights": Bad(
        CheckpointNotFoundError,
        (r"no\.pth: there is no such checkpoint",),
        call=lambda work_dir: train(PLAN, work_dir, load_from=work_dir / "no.pth"),
    ),
    "an empty checkpoint": Bad(
        CheckpointDamagedError,
        (r"bad\.pth: the file is empty", "older checkpoint"),
        call=lambda work_dir: _damage(work_dir, lambda _: b""),
    ),
    "a truncated checkpoint": Bad(
        CheckpointDamagedError,
        (r"bad\.pth: cannot be read \(\d+ bytes\)", "truncated"),
        call=lambda work_dir: _damage(work_dir, lambda whole: whole[:-1000]),
    ),
    "a checkpoint that is text": Bad(
        CheckpointDamagedError,
        (r"bad\.pth: cannot be read", "no checkpoint"),
        call=lambda work_dir: _damage(work_dir, lambda _: b"not a checkpoint"),
    ),
    "a checkpoint of somebody else's": Bad(
        CheckpointDamagedError,
        (
            r"bad\.pth: no run can be resumed",
            r"the keys \['epoch', 'model'\]",
            "load_fro",
        ),
        call=lambda work_dir: _damage(work_dir, lambda _: {"epoch": 3, "model": {}}),
    ),
}


@pytest.fixture(scope="module")
def earlier_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that finished."""
    folder = tmp_path_factory.mktemp("earlier")
    train(PLAN, folder)
    return folder


@pytest.fixture
def work_dir(earlier_run: Path, tmp_path: Path) -> Path:
    """Holds the checkpoints of the earlier run."""
    return shutil.copytree(earlier_run, tmp_path / "work_dir")


@pytest.mark.parametrize("name", TABLE)
def test_bad_input(name: str, work_dir: Path) -> None:
    """Its own type, a message that says where and what to do, and older files whole."""
    bad = TABLE[name]
    before = {path: path.read_bytes() for path in work_dir.glob("*.pth")}
    done: list[int] = []

    class Count(Hook):
        def after_train_iter(self, runner: Any, *_: object, **__: object) -> None:
            done.append(runner.iter)

    def train_badly(work_dir: Path) -> None:
        changes = {"custom_hooks": [Count()], **(bad.changes or {})}
        make_runner(PLAN, work_dir, **changes).train()

    with pytest.raises(bad.error) as caught:
        (bad.call or train_badly)(work_dir)
    message = str(caught.value)
    for part in bad.says:
        assert caught.match(part), message
    assert len(caught.value.args) == 1
    assert len(done) == bad.iterations, "found before any work"
    after = {path: path.read_bytes() for path in before}
    assert after == before, "older checkpoints are untouched"
    assert Store(work_dir).newest_good() is not None


def test_a_work_dir_where_nobody_may_write() -> None:
    """Not even root: found before anything is built."""
    with pytest.raises(ConfigError, match="work_dir '/proc/engine' cannot be written"):
        make_runner(PLAN, Path("/proc/engine"), model="is not looked at")


def test_a_damaged_newest_checkpoint_costs_only_itself(work_dir: Path) -> None:
    """resume=True takes the one before it, and the run ends as it should."""
    newest = (work_dir / "last_checkpoint").read_text()
    final = read(work_dir / newest)["state_dict"]
    (work_dir / newest).write_bytes((work_dir / newest).read_bytes()[:500])
    runner = make_runner(PLAN, work_dir, resume=True)
    runner.train()
    for key, tensor in runner.model.state_dict().items():
        assert torch.equal(tensor, final[key]), key


def test_only_damaged_checkpoints_are_no_new_run(work_dir: Path) -> None:
    """A silent start from nothing would write over what may still be saved."""
    for path in work_dir.glob("*.pth"):
        path.write_bytes(b"")
    with pytest.raises(CheckpointDamagedError, match=r"none of its 9 .* is good"):
        make_runner(PLAN, work_dir, resume=True).train()


def test_a_work_dir_that_goes_away_loses_no_run(tmp_path: Path) -> None:
    """Saving makes the folder again."""

    class Remove(Hook):
        def after_train_epoch(self, runner: Any) -> None:
            if runner.epoch == 0:
                shutil.rmtree(runner.work_dir)

    runner: Runner = make_runner(PLAN, tmp_path / "w")
    runner.register_hook(Remove())
    # Not in the background: whether it goes away under the writer would be chance.
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            hook.background = False
    runner.train()
    assert (tmp_path / "w" / "epoch_3.pth").is_file()
