"""A loop of the user's, written in MMEngine's way, is the run that our own loop is."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from engine import LOOPS, Hook, Phase
from engine.errors import ConfigError, HookError
from engine.runner import (
    BaseLoop,
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    TestLoop,
    ValLoop,
)
from tests.runs import RunPlan, make_runner, recorder, story, train

if TYPE_CHECKING:
    from engine.state import RunContext


class OwnIteration(EpochBasedTrainLoop):
    """Overrides one iteration."""

    def run_iter(self, idx: int, data_batch: Any) -> None:
        self.runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        outputs = self.runner.model.train_step(
            data_batch, optim_wrapper=self.runner.optim_wrapper
        )
        self.runner.call_hook(
            "after_train_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs
        )
        self._iter += 1


class OwnEpoch(EpochBasedTrainLoop):
    """Overrides one epoch."""

    def run_epoch(self) -> None:
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        for idx, data_batch in enumerate(self.dataloader):
            self.run_iter(idx, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1


class OwnRun(EpochBasedTrainLoop):
    """Overrides the whole, without validations."""

    def run(self) -> Any:
        self.runner.call_hook("before_train")
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
        self.runner.call_hook("after_train")
        return self.runner.model


class Around(EpochBasedTrainLoop):
    """Does something around our run."""

    def run(self) -> Any:
        return super().run()


class FromScratch(BaseLoop):
    """Derives from the base alone."""

    def __init__(self, runner: Any, dataloader: Any, max_epochs: int) -> None:
        super().__init__(runner, dataloader)
        self.max_epochs = max_epochs

    def run(self) -> Any:
        runner = self.runner
        while runner.epoch < self.max_epochs:
            runner.call_hook("before_train_epoch")
            runner.model.train()
            for idx, batch in enumerate(self.dataloader):
                runner.call_hook("before_train_iter", batch_idx=idx, data_batch=batch)
                outputs = runner.model.train_step(batch, runner.optim_wrapper)
                runner.call_hook(
                    "after_train_iter", batch_idx=idx, data_batch=batch, outputs=outputs
                )
            runner.call_hook("after_train_epoch")
        return runner.model


class OwnIterations(IterBasedTrainLoop):
    """Overrides the iterations of a run bounded by them."""

    def run(self) -> Any:
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        while self._iter < self._max_iters and not self.stop_training:
            self.run_iter(next(self.dataloader_iterator))
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model


class OwnIterationOfMany(IterBasedTrainLoop):
    """Overrides one iteration of a run bounded by them."""

    def run_iter(self, data_batch: Any) -> None:
        super().run_iter(data_batch)


class OwnValidation(ValLoop):
    """Validates in its own words."""

    @torch.no_grad()
    def run(self) -> dict[str, Any]:
        self.runner.call_hook("before_val")
        self.runner.call_hook("before_val_epoch")
        self.runner.model.eval()
        self.evaluator.reset()
        for idx, data_batch in enumerate(self.dataloader):
            self.run_iter(idx, data_batch)
        dataset: Any = getattr(self.dataloader, "dataset", None)
        metrics: dict[str, Any] = self.evaluator.evaluate(len(dataset))
        self.runner.call_hook("after_val_epoch", metrics=metrics)
        self.runner.call_hook("after_val")
        return metrics


class OwnBatch(ValLoop):
    """Validates one batch in its own words."""

    def run_iter(self, idx: int, data_batch: Any) -> None:
        self.runner.call_hook("before_val_iter", batch_idx=idx, data_batch=data_batch)
        outputs = self.runner.model.val_step(data_batch)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        self.runner.call_hook(
            "after_val_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs
        )


BY_EPOCH = [OwnIteration, OwnEpoch, Around, OwnRun, FromScratch]
BY_ITERATION = [OwnIterations, OwnIterationOfMany]
VALIDATES_ITSELF = (OwnRun, FromScratch, OwnIterations)  # so nothing validates


def own_cfg(loop: type, plan: RunPlan) -> dict[str, Any]:
    """Settings of a loop of the user's for a plan."""
    bound = "max_epochs" if plan.max_iters is None else "max_iters"
    cfg: dict[str, Any] = {"type": loop, bound: getattr(plan, bound)}
    if plan.val_interval is not None and loop is not FromScratch:
        cfg["val_interval"] = plan.val_interval
    return cfg


@st.composite
def cases(draw: st.DrawFn) -> tuple[type, RunPlan]:
    """A loop of the user's, and a run for it."""
    loop = draw(st.sampled_from([*BY_EPOCH, *BY_ITERATION]), label="loop")
    by_epoch = loop in BY_EPOCH
    validated = loop not in VALIDATES_ITSELF
    return loop, RunPlan(
        max_epochs=draw(st.integers(1, 3)) if by_epoch else None,
        max_iters=None if by_epoch else draw(st.integers(1, 7)),
        size=draw(st.integers(2, 9)),
        batch_size=4,
        sampler=draw(st.sampled_from(["run", "default", "none"])),
        val_interval=draw(st.sampled_from([None, 1, 2])) if validated else None,
        accumulate=draw(st.integers(1, 2)),
        schedule=draw(st.sampled_from(["none", "epoch", "iteration"])),
    )


@given(case=cases())
def test_a_loop_of_ones_own_trains_as_ours_does(case: tuple[type, RunPlan]) -> None:
    """Each hook runs once per event, on the same batches, with the same numbers."""
    loop, plan = case
    with TemporaryDirectory() as folder:
        ours = train(plan, Path(folder) / "ours")
        theirs = train(plan, Path(folder) / "theirs", train_cfg=own_cfg(loop, plan))
        assert story(theirs) == story(ours)


@given(case=cases(), data=st.data())
def test_a_loop_of_ones_own_resumes_bit_equal(
    case: tuple[type, RunPlan], data: st.DataObject
) -> None:
    """Its safe points are the ends of after_train_iter, and of epochs."""
    loop, plan = case
    cfg = own_cfg(loop, plan)
    with TemporaryDirectory() as folder:
        whole = train(plan, Path(folder) / "whole", train_cfg=cfg)
        cuts = sorted(whole.work_dir.glob("*.pth"))
        cut = data.draw(st.sampled_from(cuts), label="stop after")
        rest = train(
            plan, Path(folder) / "rest", resume_from=cut, disturb=9, train_cfg=cfg
        )
        assert story(rest) == story(whole)


class InterruptAt(Hook):
    """Interrupts after one iteration.

    Args:
        iteration: After which.
    """

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def after_train_iter(self, runner: RunContext, *_: object, **__: object) -> None:
        if runner.iter + 1 == self.iteration:
            runner.trainer.interrupt()


@given(case=cases(), data=st.data())
def test_an_interrupted_loop_goes_on_where_it_was(
    case: tuple[type, RunPlan], data: st.DataObject
) -> None:
    """In the same process, by calling train() again."""
    loop, plan = case
    cfg = own_cfg(loop, plan)
    at = data.draw(st.integers(1, plan.iterations), label="interrupt after")
    with TemporaryDirectory() as folder:
        whole = train(plan, Path(folder) / "whole", train_cfg=cfg)
        runner = make_runner(plan, Path(folder) / "halted", train_cfg=cfg)
        runner.register_hook(InterruptAt(at))
        runner.train()
        if runner.state.phase is Phase.INTERRUPTED:
            torch.rand(3)
            runner.train()
        assert recorder(runner).events == recorder(whole).events
        assert runner.state.phase is Phase.FINISHED


class StopAt(Hook):
    """Stops a run in MMEngine's way.

    Args:
        iteration: After which.
    """

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def after_train_iter(self, runner: Any, *_: object, **__: object) -> None:
        if runner.iter + 1 == self.iteration:
            runner.train_loop.stop_training = True


@pytest.mark.parametrize("loop", [OwnIteration, OwnEpoch, OwnRun, Around])
def test_stop_training_ends_a_loop_of_ones_own_after_its_epoch(
    loop: type, tmp_path: Path
) -> None:
    """As it ends ours: the running epoch is finished, then after_train runs."""
    plan = RunPlan(max_epochs=3, val_interval=None)
    runners = []
    for name, cfg in (("ours", {"max_epochs": 3}), ("own", own_cfg(loop, plan))):
        runner = make_runner(plan, tmp_path / name, train_cfg=cfg)
        runner.register_hook(StopAt(4))
        runner.train()
        runners.append(runner)
    ours, own = runners
    assert own.epoch == 2
    assert story(own) == story(ours)


@pytest.mark.parametrize("loop", [OwnValidation, OwnBatch])
def test_a_validation_of_ones_own_counts_as_ours(loop: type, tmp_path: Path) -> None:
    """The same metrics, events and training, alone and inside training."""
    plan = RunPlan(max_epochs=2)
    ours = train(plan, tmp_path / "ours")
    own = train(plan, tmp_path / "own", val_cfg={"type": loop})
    assert story(own) == story(ours)
    assert own.val() == ours.val()


def test_a_test_loop_of_ones_own_is_driven(tmp_path: Path) -> None:
    """Its metrics are what its run returns."""

    class Five(TestLoop):
        def run(self) -> dict[str, Any]:
            self.runner.call_hook("before_test")
            return {"five": 5}

    plan = evolve(RunPlan(), val_interval=1)
    runner = make_runner(plan, tmp_path)
    given = runner.parts.given
    tester = make_runner(
        plan,
        tmp_path / "test",
        test_dataloader=given["val_dataloader"],
        test_cfg={"type": Five},
        test_evaluator=given["val_evaluator"],
    )
    assert tester.test() == {"five": 5}


def test_an_error_in_a_loop_of_ones_own_reaches_the_caller(tmp_path: Path) -> None:
    """With a note of how far the run came; the run has failed."""

    class Broken(EpochBasedTrainLoop):
        def run_iter(self, idx: int, data_batch: Any) -> None:
            if idx == 1:
                message = "broken on purpose"
                raise RuntimeError(message)
            super().run_iter(idx, data_batch)

    runner = make_runner(
        RunPlan(), tmp_path, train_cfg={"type": Broken, "max_epochs": 1}
    )
    with pytest.raises(RuntimeError, match="broken on purpose") as caught:
        runner.train()
    assert "after 1 iteration (" in caught.value.__notes__[0]
    assert runner.state.phase is Phase.FAILED


def test_a_loop_that_does_not_say_how_long_it_is_gets_told(tmp_path: Path) -> None:
    """Before anything is trained."""

    class Endless(BaseLoop):
        def run(self) -> None:
            self.runner.call_hook("before_train")

    plan = RunPlan(val_interval=None)
    runner = make_runner(plan, tmp_path, train_cfg={"type": Endless})
    with pytest.raises(ConfigError, match="neither max_epochs nor max_iters"):
        runner.train()


def test_counting_on_ones_own_is_refused(tmp_path: Path) -> None:
    """The state counts; a loop that says something else is wrong."""

    class Skips(EpochBasedTrainLoop):
        def run_epoch(self) -> None:
            self._epoch += 2

    plan = RunPlan(val_interval=None)
    runner = make_runner(plan, tmp_path, train_cfg={"type": Skips, "max_epochs": 3})
    with pytest.raises(ConfigError, match="_epoch = 2: the run's state counts, and 0"):
        runner.train()


def test_a_call_with_other_arguments_is_refused(tmp_path: Path) -> None:
    """The message names those that the event takes."""

    class Misspelt(EpochBasedTrainLoop):
        def run_iter(self, idx: int, data_batch: Any) -> None:
            self.runner.call_hook("before_train_iter", index=idx, data_batch=data_batch)

    plan = RunPlan(val_interval=None)
    runner = make_runner(plan, tmp_path, train_cfg={"type": Misspelt, "max_epochs": 1})
    with pytest.raises(HookError, match="takes batch_idx, data_batch, outputs, found"):
        runner.train()


def test_points_of_ones_own_reach_the_hooks_that_have_them(tmp_path: Path) -> None:
    """A name that is no event calls the method of that name."""
    heard = []

    class Listens(Hook):
        def warm_up_done(self, runner: RunContext, steps: int) -> None:
            heard.append((runner.iter, steps))

    class Announces(EpochBasedTrainLoop):
        def run_epoch(self) -> None:
            self.runner.call_hook("warm_up_done", steps=3)
            super().run_epoch()

    plan = RunPlan(max_epochs=2, val_interval=None)
    train(
        plan,
        tmp_path,
        train_cfg={"type": Announces, "max_epochs": 2},
        custom_hooks=[Listens()],
    )
    assert heard == [(0, 3), (3, 3)]


def test_a_registered_loop_is_named_in_the_config(tmp_path: Path) -> None:
    """As MMEngine's users do it."""
    LOOPS.register_module(name="OwnEpochForTest", force=True, module=OwnEpoch)
    plan = RunPlan(max_epochs=1, val_interval=None)
    cfg = {"type": "OwnEpochForTest", "max_epochs": 1}
    assert train(plan, tmp_path, train_cfg=cfg).epoch == 1
