"""Whole runs that are stopped, that fail, or that go back, and what is kept of them."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import fsspec  # type: ignore[import-untyped]  # it ships none
import pytest
import torch

from engine import CheckpointHook, Hook, Phase, Priority
from engine.checkpoint import Store, find_latest_checkpoint, read
from engine.errors import CheckpointError, RunInterrupted, amount
from engine.hooks import NanGuardHook
from engine.runner import EpochBasedTrainLoop
from tests.runs import Recorder, RunPlan, Samples, Spread, make_runner, story

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine import Runner
    from engine.state import RunContext

PLAN = RunPlan(max_epochs=3)


class At(Hook):
    """Does something once, after an iteration of training, or of an evaluation.

    Args:
        method: Of which event.
        iteration: Iterations of training that are done by then.
        act: What is done.
    """

    priority: ClassVar[Priority] = Priority.LOW

    def __init__(self, method: str, iteration: int, act: Any) -> None:
        self.iteration = iteration
        self.act = act

        def call(runner: RunContext, *_: Any, **__: Any) -> None:
            if self.act is not None and runner.state.iteration == self.iteration:
                act, self.act = self.act, None
                act()

        setattr(self, method, call)


class OhNo(Exception):  # noqa: N818  # it is nothing else
    """What breaks a run."""


def fail() -> None:
    """Break the run."""
    raise OhNo


def term() -> None:
    """Send this process what a scheduler sends."""
    os.kill(os.getpid(), signal.SIGTERM)


def make(folder: Path, *hooks: Hook, plan: RunPlan = PLAN, **more: Any) -> Runner:
    """A toy run that saves each two iterations, if no other hook saves."""
    saving = [one for one in hooks if isinstance(one, CheckpointHook)]
    if not saving:
        hooks = (CheckpointHook(interval=2, by_epoch=False), *hooks)
    return make_runner(plan, folder, custom_hooks=[Recorder(), *hooks], **more)


def finish(folder: Path, **more: Any) -> Any:
    """The story of the run that goes on from the folder."""
    runner = make(folder, resume=True, **more)
    assert runner.train() is not None
    assert runner.state.phase is Phase.FINISHED
    return story(runner)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The story of the run that nothing happens to."""
    runner = make(tmp_path_factory.mktemp("whole"))
    runner.train()
    return story(runner)


# -- in one process ------------------------------------------------------------


def test_it_goes_on_in_the_same_process(tmp_path: Path, whole: Any) -> None:
    """``train()`` again, also twice; the file that was kept is not needed."""
    runner = make(tmp_path, At("after_train_iter", 3, term))
    runner.register_hook(At("after_train_iter", 5, term))
    for iteration in (3, 5):
        with pytest.raises(
            RunInterrupted, match=f"after {amount(iteration, 'iteration')} "
        ):
            runner.train()
        assert runner.state.phase is Phase.INTERRUPTED
    runner.train()
    assert story(runner) == whole
    assert not [*tmp_path.glob("stopped_*")]


def test_an_interrupt_saves_nothing_and_raises_nothing(
    tmp_path: Path, whole: Any
) -> None:
    """It is the user's own: ``train()`` returns, and goes on when called again."""
    runner = make(tmp_path)
    runner.register_hook(At("after_train_iter", 3, runner.interrupt))
    runner.train()
    assert (runner.state.phase, runner.iter) == (Phase.INTERRUPTED, 3)
    assert not [*tmp_path.glob("stopped_*")]
    runner.train()
    assert story(runner) == whole


@pytest.mark.parametrize("mode", ["val", "test"])
def test_an_evaluation_alone_is_left(tmp_path: Path, mode: str) -> None:
    """There is nothing to save; the next call evaluates whole."""
    data = {
        "dataset": Samples(6, augment=True),
        "batch_size": 2,
        "collate_fn": "default_collate",
    }
    parts: dict[str, Any] = {
        f"{mode}_dataloader": data,
        f"{mode}_cfg": {},
        f"{mode}_evaluator": Spread(),
    }
    seen: list[int] = []
    hook = At(f"after_{mode}_iter", 0, term)

    class Count(Hook):
        def _after_iter(
            self, runner: Any, batch_idx: int, *_: Any, mode: str = "train", **__: Any
        ) -> None:
            seen.append(batch_idx)

    runner = make(tmp_path, hook, Count(), **parts)
    expected = f"stopped \\(SIGTERM\\) after 1 batch of a {mode}; there is no state"
    with pytest.raises(RunInterrupted, match=expected) as caught:
        getattr(runner, mode)()
    assert caught.value.path is None
    assert caught.value.exit_code == 128 + signal.SIGTERM
    assert seen == [0]
    assert runner.state.phase is Phase.READY
    assert set(getattr(runner, mode)()) == {"mean", "drawn"}
    assert seen == [0, 0, 1, 2]
    assert runner.model.training


# -- the file that is kept -----------------------------------------------------


class OwnEpoch(EpochBasedTrainLoop):
    """A loop that drives the engine."""

    def run_iter(self, idx: int, data_batch: Any) -> None:
        self.runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        outputs = self.runner.model.train_step(
            data_batch, optim_wrapper=self.runner.optim_wrapper
        )
        self.runner.call_hook(
            "after_train_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs
        )
        self._iter += 1


@pytest.mark.parametrize("iteration", [2, 3, 5])
def test_a_loop_of_the_users_is_stopped(
    tmp_path: Path, whole: Any, iteration: int
) -> None:
    """At the end of the iteration, with a file; it goes on as the unbroken run."""
    own: dict[str, Any] = {
        "train_cfg": {"type": OwnEpoch, "max_epochs": 3, "val_interval": 1}
    }
    runner = make(tmp_path, At("after_train_iter", iteration, term), **own)
    with pytest.raises(
        RunInterrupted, match=f"after {amount(iteration, 'iteration')} "
    ) as caught:
        runner.train()
    assert str(caught.value.path) == find_latest_checkpoint(tmp_path)
    assert finish(tmp_path, **own) == whole


def test_a_file_system_of_a_url(tmp_path: Path, whole: Any) -> None:
    """It stands where the others do; the work dir says where; it goes with a newer."""
    folder = f"memory://{tmp_path.name}"

    def saving() -> CheckpointHook:
        return CheckpointHook(interval=2, by_epoch=False, out_dir=folder)

    runner = make(tmp_path / "run", saving(), At("after_train_iter", 3, term))
    with pytest.raises(RunInterrupted) as caught:
        runner.train()
    assert str(caught.value.path) == f"{folder}/run/stopped_iter_3.pth"
    resumed = make(tmp_path / "run", saving(), resume=True)
    resumed.train()
    assert story(resumed) == whole
    there = fsspec.filesystem("memory").ls(f"/{tmp_path.name}/run", detail=False)
    assert not [name for name in there if "stopped" in name]


def test_a_save_in_flight_comes_first(
    tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stop waits for it: ``last_checkpoint`` names the newest state."""
    go_on, order = threading.Event(), []
    write = Store.write

    def slow(store: Store, name: str, checkpoint: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            assert go_on.wait(60)
        order.append(name)
        return write(store, name, checkpoint)

    monkeypatch.setattr(Store, "write", slow)

    class LetGo(Hook):
        priority: ClassVar[Priority] = Priority.HIGHEST

        def on_interrupt(self, runner: RunContext, signal: int | None) -> None:
            assert not order
            go_on.set()

    hooks = (LetGo(), At("after_train_iter", 3, term))
    runner = make(tmp_path, CheckpointHook(interval=2, by_epoch=False), *hooks)
    with pytest.raises(RunInterrupted, match=r"stopped_iter_3\.pth"):
        runner.train()
    assert order == ["iter_2.pth", "stopped_iter_3.pth"]
    assert finish(tmp_path) == whole


def test_a_stop_where_a_regular_one_is_saved(tmp_path: Path, whole: Any) -> None:
    """That one is the state: no second file."""
    runner = make(tmp_path, At("after_train_iter", 4, term))
    with pytest.raises(RunInterrupted, match=r"saved \S*iter_4\.pth"):
        runner.train()
    assert not [*tmp_path.glob("stopped_*")]
    assert finish(tmp_path) == whole


# -- failures ------------------------------------------------------------------


def notes(error: BaseException) -> str:
    """What is told with an error."""
    return "\n".join(getattr(error, "__notes__", []))


def test_a_frozen_copy_is_written(tmp_path: Path, whole: Any) -> None:
    """It is the state of its safe point, not of the failure; the rest is done again."""
    saving = CheckpointHook(interval=100, by_epoch=False, freeze_interval=3)
    runner = make(tmp_path, saving, At("after_train_iter", 8, fail))
    with pytest.raises(OhNo) as caught:
        runner.train()
    assert "the copy that was frozen after 6 iterations" in notes(caught.value)
    assert "does 2 iterations again" in notes(caught.value)
    frozen = read(tmp_path / "stopped_iter_6.pth")
    assert frozen["meta"]["iter"] == 6
    assert frozen["meta"]["experiment_name"] == runner.experiment_name
    whole_run = make(tmp_path / "other", At("after_train_iter", 6, term))
    with pytest.raises(RunInterrupted) as stopped:
        whole_run.train()
    for name, value in read(str(stopped.value.path))["state_dict"].items():
        assert torch.equal(frozen["state_dict"][name], value), name
    assert finish(tmp_path) == whole


def test_a_copy_older_than_the_newest_file_is_not_written(tmp_path: Path) -> None:
    """What is on the disk is nearer to the failure."""
    saving = CheckpointHook(interval=4, by_epoch=False, freeze_interval=3)
    runner = make(tmp_path, saving, At("after_train_iter", 5, fail))
    with pytest.raises(OhNo) as caught:
        runner.train()
    assert "The newest checkpoint is" in notes(caught.value)
    assert "iter_4.pth; a resume from it does 1 iteration again" in notes(caught.value)
    assert not [*tmp_path.glob("stopped_*")]


@pytest.mark.parametrize("background", [True, False])
def test_a_save_that_fails(
    tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch, *, background: bool
) -> None:
    """The error is raised, and the state that could not be written there is kept."""
    write = Store.write
    failed: list[str] = []

    def full(store: Store, name: str, checkpoint: Any) -> Any:
        if name == "iter_4.pth" and not failed:
            failed.append(name)
            message = f"{name}: could not be written: no space"
            raise CheckpointError(message)
        return write(store, name, checkpoint)

    monkeypatch.setattr(Store, "write", full)
    saving = CheckpointHook(interval=2, by_epoch=False, background=background)
    runner = make(tmp_path, saving)
    with pytest.raises(CheckpointError, match="no space") as caught:
        runner.train()
    assert "Its state is saved" in notes(caught.value)
    newest = find_latest_checkpoint(tmp_path)
    assert newest is not None
    assert read(newest)["meta"]["iter"] == runner.iter >= 4
    assert finish(tmp_path) == whole


# -- going back ----------------------------------------------------------------


class Poisoned(Samples):
    """Points, one of which is nan."""

    def __init__(self) -> None:
        super().__init__(8, augment=True)
        self.points[5] = float("nan")


def test_a_rollback_leaves_no_trace_of_what_it_took_back(tmp_path: Path) -> None:
    """Each step is in the metrics file once, in order, and none of them is nan."""
    plan = RunPlan(max_epochs=2, batch_size=2, watched=True, val_interval=None)
    loader = {
        "dataset": Poisoned(),
        "batch_size": 2,
        "shuffle": True,
        "collate_fn": "default_collate",
    }

    def guarded(**more: Any) -> Runner:
        guard = NanGuardHook("rollback", interval=3)
        saving = CheckpointHook(interval=2, by_epoch=False)
        return make(tmp_path, guard, saving, plan=plan, train_dataloader=loader, **more)

    runner = guarded()
    runner.train()
    assert runner.state.rollbacks == 2
    (metrics,) = tmp_path.glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [line["step"] for line in lines] == [*range(1, 7)]
    assert all(line["loss"] == line["loss"] for line in lines)
    told = story(runner)
    for file in sorted(tmp_path.glob("iter_*.pth")):
        rest = guarded(resume=True, load_from=file)
        rest.train()
        assert story(rest) == told, file


@pytest.fixture(autouse=True)
def _no_memory() -> Iterator[None]:
    """``memory://`` is of the process: each test begins with an empty one."""
    yield
    fsspec.filesystem("memory").store.clear()


def test_a_save_that_fails_for_good_names_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the file that could not be written: what a resume would take."""
    write = Store.write

    def full(store: Store, name: str, checkpoint: Any) -> Any:
        if name != "iter_2.pth":
            message = f"{name}: could not be written: no space"
            raise CheckpointError(message)
        return write(store, name, checkpoint)

    monkeypatch.setattr(Store, "write", full)
    runner = make(tmp_path, CheckpointHook(interval=2, by_epoch=False))
    with pytest.raises(CheckpointError, match="no space") as caught:
        runner.train()
    assert caught.value.while_running
    told = notes(caught.value)
    assert f"The newest checkpoint is {tmp_path / 'iter_2.pth'}; " in told
    again = runner.state.iteration - 2
    assert f"does {again} iterations again" in told
