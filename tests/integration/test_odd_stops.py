"""Stops, failures and rollbacks at odd places: nothing is lost, nothing differs."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from engine import (
    CheckpointHook,
    EvalEngine,
    Events,
    Hook,
    OptimWrapper,
    Phase,
    RunState,
    TrainEngine,
)
from engine.checkpoint import HostCopy, find_latest_checkpoint, read
from engine.errors import CheckpointDamagedError, RunInterrupted, amount
from engine.hooks import NanGuardHook
from engine.loops.stops import Stops
from engine.runner import IterBasedTrainLoop
from tests.runs import Recorder, RunPlan, Samples, make_runner, recorder, story

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine import Runner
    from engine.state import RunContext

PLAN = RunPlan(max_epochs=3)


class At(Hook):
    """Does something once, in a method of a hook, when so many iterations are done.

    Args:
        method: Of which event.
        iteration: Iterations of training that are done by then.
        act: What is done, with the runner.
    """

    def __init__(
        self, method: str, iteration: int, act: Callable[[Any], object]
    ) -> None:
        self.done = False

        def call(runner: RunContext, *_: Any, **__: Any) -> None:
            if not self.done and runner.state.iteration == iteration:
                self.done = True
                act(runner)

        setattr(self, method, call)


def term(_: object = None) -> None:
    """Send this process what a scheduler sends."""
    os.kill(os.getpid(), signal.SIGTERM)


def make(folder: Path, *hooks: Hook, plan: RunPlan = PLAN, **more: Any) -> Runner:
    """A toy run that saves each two iterations, if no other hook saves."""
    if not any(isinstance(one, CheckpointHook) for one in hooks):
        hooks = (CheckpointHook(interval=2, by_epoch=False), *hooks)
    return make_runner(plan, folder, custom_hooks=[Recorder(), *hooks], **more)


def notes(error: BaseException) -> str:
    """What is told with an error."""
    return "\n".join(getattr(error, "__notes__", []))


# -- an evaluation that a hook of training asks for ----------------------------


def val(runner: Any) -> None:
    """Validate once more."""
    runner.val()


@pytest.mark.parametrize(
    ("method", "iteration"), [("after_train_iter", 5), ("after_val_iter", 3)]
)
def test_val_in_a_hook_leaves_signals_to_training(
    tmp_path: Path, method: str, iteration: int
) -> None:
    """A signal after it, or in it, stops training at its next safe point, saved."""
    runner = make(
        tmp_path, At("after_train_epoch", 3, val), At(method, iteration, term)
    )
    with pytest.raises(
        RunInterrupted, match=f"after {amount(iteration, 'iteration')} "
    ) as caught:
        runner.train()
    assert str(caught.value.path) == str(tmp_path / f"stopped_iter_{iteration}.pth")
    assert runner.state.phase is Phase.INTERRUPTED


def test_val_in_a_hook_leaves_the_time_limit_to_training(tmp_path: Path) -> None:
    """``max_seconds`` are those of training, from its begin to its end."""
    now = [0.0]
    wait = At("after_train_iter", 5, lambda _: now.append(60.0))
    validate = At("after_train_epoch", 3, val)
    runner = make(tmp_path, validate, wait, env_cfg={"max_seconds": 50})
    runner.stops = Stops(max_seconds=50, now=lambda: now[-1])
    with pytest.raises(RunInterrupted, match=r"max_seconds=50 are over\) after 5 iter"):
        runner.train()


# -- interrupts ----------------------------------------------------------------


def test_a_signal_while_an_interrupt_is_heeded_saves(tmp_path: Path) -> None:
    """``interrupt()`` saves nothing; a signal that comes before it returns does."""
    interrupt = At("after_train_iter", 5, lambda runner: runner.interrupt())
    runner = make(tmp_path, interrupt, At("on_interrupt", 5, term))
    with pytest.raises(RunInterrupted, match=r"saved \S*stopped_iter_5\.pth"):
        runner.train()


def test_what_a_handler_of_a_stop_draws_is_not_drawn_again(tmp_path: Path) -> None:
    """A resumed run's generators stand where they stood before ``on_interrupt``."""

    def draw(_: Any) -> None:
        torch.rand(3)

    whole = make(tmp_path / "whole")
    whole.train()
    cut = tmp_path / "cut"
    runner = make(cut, At("after_train_iter", 5, term), At("on_interrupt", 5, draw))
    with pytest.raises(RunInterrupted):
        runner.train()
    resumed = make(cut, resume=True)
    resumed.train()
    assert story(resumed) == story(whole)


def test_an_evaluation_alone_may_have_a_hook_that_saves() -> None:
    """It has nothing to save, and says nothing of it."""
    alone = EvalEngine(lambda _, batch: batch)
    alone.add_hook(CheckpointHook(interval=1))
    assert alone.run([1.0, 2.0]).iteration == 2
    cut = EvalEngine(lambda _, batch: term(batch))
    cut.add_hook(CheckpointHook(interval=1))
    with pytest.raises(RunInterrupted, match="no state to keep"):
        cut.run([1.0, 2.0])


# -- failures ------------------------------------------------------------------


class Broken(Dataset[Any]):
    """Numbers, one of which cannot be read; it counts what was read.

    Args:
        number: Which one.
    """

    def __init__(self, number: int | None) -> None:
        self.number = number
        self.read = 0

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Any:
        self.read += 1
        if index == self.number:
            message = f"{index} is gone"
            raise OSError(message)
        return torch.tensor([float(index), float(self.read)])


class Remembers(Broken):
    """The same, and what it counted is saved."""

    def state_dict(self) -> dict[str, Any]:
        return {"read": self.read}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.read = state["read"]


def composed(folder: Path) -> TrainEngine:
    """A run that saves each four iterations."""
    model = torch.nn.Linear(2, 1)
    trainer = TrainEngine(lambda _, batch: batch, RunState(seed=1), work_dir=folder)
    trainer.track(model=model)
    saving = CheckpointHook(interval=4, by_epoch=False, background=False)
    trainer.add_hook(saving)
    return trainer


def test_an_older_checkpoint_is_not_taken_for_the_state(tmp_path: Path) -> None:
    """Data that breaks an iteration after a regular save: its own state is saved."""
    trainer = composed(tmp_path)
    with pytest.raises(OSError, match="9 is gone") as caught:
        trainer.run(DataLoader(Broken(9)), max_epochs=1)
    assert "after 9 iterations" in notes(caught.value)
    assert f"saved: {tmp_path / 'stopped_iter_9.pth'}" in notes(caught.value)
    assert read(tmp_path / "stopped_iter_9.pth")["meta"]["iter"] == 9


def test_data_in_the_midst_of_a_batch_is_not_saved(tmp_path: Path) -> None:
    """A dataset with a memory, read in this process, is not at a safe point."""
    trainer = composed(tmp_path)
    with pytest.raises(OSError, match="11 is gone") as caught:
        trainer.run(DataLoader(Remembers(11), batch_size=2), max_epochs=1)
    assert "The newest checkpoint is" in notes(caught.value)
    seen: list[Any] = []
    resumed = composed(tmp_path)
    resumed.on(Events.ITERATION_COMPLETED)(
        lambda trainer: seen.append(trainer.state.output.tolist())
    )
    resumed.resume(tmp_path)
    resumed.run(DataLoader(Remembers(None), batch_size=2), max_epochs=1)
    assert seen == [[[8, 9], [9, 10]], [[10, 11], [11, 12]]]


def test_half_a_frozen_copy_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that is cut off has written over the one before: neither is kept."""
    take, taken = HostCopy.take, []

    def cut_off(copy: HostCopy, tree: Any) -> Any:
        taken.append(take(copy, tree))
        if len(taken) == 3:
            raise KeyboardInterrupt
        return taken[-1]

    monkeypatch.setattr(HostCopy, "take", cut_off)
    saving = CheckpointHook(interval=100, by_epoch=False, freeze_interval=1)
    with pytest.raises(KeyboardInterrupt) as caught:
        make(tmp_path, saving).train()
    assert "Nothing is saved" in notes(caught.value)
    assert not [*tmp_path.glob("*.pth")]


# -- rollbacks -----------------------------------------------------------------


class Poisoned(Samples):
    """Points, one of which is nan."""

    def __init__(self) -> None:
        super().__init__(16)
        self.points[5] = float("nan")


def guarded(folder: Path, *hooks: Hook, interval: int = 1) -> Runner:
    """A run over poisoned data that goes back."""
    loader = {
        "dataset": Poisoned(),
        "batch_size": 2,
        "shuffle": True,
        "collate_fn": "default_collate",
    }
    if not any(isinstance(one, CheckpointHook) for one in hooks):
        hooks = (CheckpointHook(interval=1, by_epoch=False), *hooks)
    return make(
        folder,
        NanGuardHook("rollback", interval=interval),
        *hooks,
        plan=RunPlan(max_epochs=1, batch_size=2, val_interval=None),
        train_dataloader=loader,
    )


class Place(Hook):
    """Where hooks are told that the run is, and where it is."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def before_train_iter(
        self, runner: RunContext, batch_idx: int, data_batch: Any = None
    ) -> None:
        self.seen.append((runner.iter, runner.state.iteration))


def test_hooks_are_told_the_iteration_after_a_rollback(tmp_path: Path) -> None:
    """``runner.iter`` in the first one is that one's index."""
    place = Place()
    runner = guarded(tmp_path, place)
    runner.train()
    assert runner.state.rollbacks == 1
    assert all(told == done for told, done in place.seen)


class InterruptOnNan(Hook):
    """Asks for a halt in the iteration that will be taken back."""

    priority = 0
    asked = False

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        if not self.asked and outputs["loss"].isnan().any():
            self.asked = True
            runner.interrupt()


def test_a_rollback_does_not_forget_an_interrupt(tmp_path: Path) -> None:
    """It is heeded at the first safe point after it."""
    runner = guarded(tmp_path, InterruptOnNan())
    runner.train()
    assert (runner.state.rollbacks, runner.state.phase) == (1, Phase.INTERRUPTED)
    runner.train()
    assert (runner.state.rollbacks, runner.state.phase) == (1, Phase.FINISHED)


class Damage(Hook):
    """Damages all checkpoints in the iteration that is to be taken back."""

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        if outputs["loss"].isnan().any():
            runner.trainer.writer.wait()
            for path in runner.trainer.rescue.file.store.folder.glob("*.pth"):
                path.write_bytes(b"damaged")


def test_a_ruined_state_is_not_saved_where_going_back_fails(tmp_path: Path) -> None:
    """Found bad in a save, with nothing good to go back to: no file is written."""
    with pytest.raises(CheckpointDamagedError) as caught:
        guarded(tmp_path, Damage(), interval=50).train()
    assert "Nothing is saved from what failed" in notes(caught.value)
    assert not [*tmp_path.glob("stopped_*")]
    assert "stopped" not in str(find_latest_checkpoint(tmp_path))


@pytest.mark.parametrize("bad", range(6))
@pytest.mark.parametrize("saved_each", [1, 2])
def test_no_checkpoint_holds_a_bad_gradient(
    tmp_path: Path, bad: int, saved_each: int
) -> None:
    """One in an open window is found before it is saved; that batch is left out."""
    torch.manual_seed(0)
    points = torch.arange(1.0, 13.0)[:, None]
    model = torch.nn.Linear(1, 1)
    optimizer = OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=0.001), accumulative_counts=3
    )

    def step(_: TrainEngine, batch: Any) -> dict[str, Any]:
        loss = model(batch[0]).square().mean()
        if batch[0][0] == points[2 * bad]:
            loss = loss + (model.weight * 0).sum().sqrt()  # 0, with a gradient of nan
        optimizer.update_params(loss)
        return {"loss": loss.detach()}

    trainer = TrainEngine(step, RunState(seed=1), work_dir=tmp_path)
    trainer.track(model=model, optimizer=optimizer)
    trainer.add_hook(CheckpointHook(interval=saved_each, by_epoch=False))
    trainer.add_hook(NanGuardHook("rollback", interval=2, max_rollbacks=1))
    trainer.run(DataLoader(TensorDataset(points), batch_size=2), max_epochs=1)
    assert model.weight.isfinite().all()
    left_out = trainer.run_state.left_out
    assert [0, bad] in left_out
    assert len(left_out) <= saved_each
    assert trainer.run_state.iteration == 6 - len(left_out)
    for path in tmp_path.glob("*.pth"):
        for one in read(path)["engine"]["gradients"] or ():
            assert one is None or one.isfinite().all(), path


def test_a_rollback_to_the_start_takes_all_scalars_back(tmp_path: Path) -> None:
    """What the hub has is that of the iterations that count, none of them nan."""
    runner = guarded(tmp_path, CheckpointHook(interval=100))
    runner.train()
    assert runner.state.rollbacks == 1
    losses, _ = runner.message_hub.get_scalar("train/loss").data
    assert len(losses) == runner.iter == 7
    assert losses.tolist() == recorder(runner).losses()


# -- data that tells its length by ending --------------------------------------


class Unsized(IterableDataset[Any]):
    """Five points; nobody says so before they are read."""

    def __iter__(self) -> Any:
        points = Samples(5, augment=True)
        return (points[index] for index in range(5))


@pytest.mark.parametrize("iteration", [2, 4])
def test_a_length_that_was_told_counts_before_and_after_a_resume(
    tmp_path: Path, iteration: int
) -> None:
    """The last window is as long as what is left, also in the run that is not cut."""
    plan = RunPlan(max_epochs=3, accumulate=2, val_interval=None)
    loader = {
        "dataset": Unsized(),
        "batch_size": 2,
        "num_workers": 0,
        "collate_fn": "default_collate",
    }
    whole = make(tmp_path / "whole", plan=plan, train_dataloader=loader)
    whole.train()
    cut = tmp_path / "cut"
    hook = At("after_train_iter", iteration, term)
    with pytest.raises(RunInterrupted):
        make(cut, hook, plan=plan, train_dataloader=loader).train()
    resumed = make(cut, plan=plan, train_dataloader=loader, resume=True)
    resumed.train()
    assert story(resumed) == story(whole)
    assert whole.state.progress.optimizer_steps == 5


# -- loader processes ----------------------------------------------------------


class Counted(Samples):
    """Points, moved by how many were read; that is saved."""

    def __init__(self, size: int) -> None:
        super().__init__(size, augment=True)
        self.read = 0

    def __getitem__(self, index: int) -> tuple[int, torch.Tensor, int]:
        self.read += 1
        number, point, label = super().__getitem__(index)
        return number, point + 0.01 * self.read, label

    def state_dict(self) -> dict[str, Any]:
        return {"read": self.read}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.read = state["read"]


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("dataset", [Samples, Counted])
def test_a_stop_lets_workers_go(
    tmp_path: Path, dataset: type[Samples], *, persistent: bool
) -> None:
    """None is left when ``train()`` raises; going on there starts them anew."""

    def begin(folder: Path, *hooks: Hook) -> Runner:
        loader = {
            "dataset": dataset(9),
            "batch_size": 2,
            "num_workers": 2,
            "persistent_workers": persistent,
            "shuffle": True,
            "collate_fn": "default_collate",
        }
        plan = RunPlan(max_epochs=2, val_interval=None)
        return make(folder, *hooks, plan=plan, train_dataloader=loader)

    whole = begin(tmp_path / "whole")
    whole.train()
    stops = [At("after_train_iter", iteration, term) for iteration in (3, 4, 8)]
    runner = begin(tmp_path / "cut", *stops)
    for _ in stops:
        with pytest.raises(RunInterrupted):
            runner.train()
        assert not multiprocessing.active_children()
    runner.train()
    assert story(runner) == story(whole)


@pytest.mark.parametrize("persistent", [False, True])
def test_a_failure_lets_workers_go(tmp_path: Path, *, persistent: bool) -> None:
    """None is left when the error arrives, whoever keeps the Runner."""

    def fail(_: Any) -> None:
        message = "oh no"
        raise ValueError(message)

    loader = {
        "dataset": Samples(9),
        "batch_size": 2,
        "num_workers": 1,
        "persistent_workers": persistent,
        "collate_fn": "default_collate",
    }
    runner = make(tmp_path, At("after_train_iter", 2, fail), train_dataloader=loader)
    with pytest.raises(ValueError, match="oh no"):
        runner.train()
    assert not multiprocessing.active_children()
    assert runner.state.phase is Phase.FAILED


# -- twice at one place --------------------------------------------------------


class OwnLoop(IterBasedTrainLoop):
    """A loop that drives the engine."""

    def run_iter(self, data_batch: Any) -> None:
        super().run_iter(data_batch)


@pytest.mark.parametrize("in_process", [False, True])
@pytest.mark.parametrize("loop", [IterBasedTrainLoop, OwnLoop])
def test_a_second_stop_before_what_the_end_owes(
    tmp_path: Path, loop: type[IterBasedTrainLoop], *, in_process: bool
) -> None:
    """The validation that the last iteration owes comes before the end of its epoch."""
    plan = RunPlan(max_epochs=None, max_iters=4, val_interval=2)

    def begin(folder: Path, *hooks: Hook, **more: Any) -> Runner:
        # The stop comes while that iteration is saved.
        saving = CheckpointHook(interval=1, by_epoch=False)
        train_cfg = {"type": loop, "max_iters": 4, "val_interval": 2}
        return make(folder, saving, *hooks, plan=plan, train_cfg=train_cfg, **more)

    whole = begin(tmp_path / "whole")
    whole.train()
    cut = tmp_path / "cut"
    last = plan.iterations
    stop = At("before_save_checkpoint", last, term)
    again = At("before_run", last, term)
    runner = begin(cut, stop, again)
    with pytest.raises(RunInterrupted):
        runner.train()
    if not in_process:
        runner = begin(cut, At("before_train", last, term), resume=True)
    with pytest.raises(RunInterrupted, match="stopped"):
        runner.train()
    if not in_process:
        runner = begin(cut, resume=True)
    runner.train()
    assert story(runner) == story(whole)
