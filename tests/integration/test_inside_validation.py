"""Runs that are stopped or saved between two batches of a validation."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch
from ignite.metrics import Accuracy, Average, RunningAverage
from torch.utils.data import DataLoader, IterableDataset

from engine import (
    EvalEngine,
    Events,
    Hook,
    Phase,
    RunState,
    TrainEngine,
)
from engine.checkpoint import read
from engine.errors import InexactResumeError, RunInterrupted
from engine.loops import ValLoop
from engine.state import DueKind, Exactness
from tests.runs import Recorder, RunPlan, Samples, Spread, bits, make_runner, story
from tests.toys import quiet_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine import Runner
    from engine.state import Due, RunContext

PLAN = RunPlan(max_epochs=2, accumulate=2)


class Opaque(Spread):
    """A metric with memory that nobody can look into."""

    def __init__(self) -> None:
        super().__init__()
        self.odd = memoryview(bytearray(1))


class At(Hook):
    """Does something after one batch of one validation; counts the batches.

    Args:
        when: Iterations done, and the batch's index; ``None``: never.
        act: What it does.
    """

    transient: ClassVar[frozenset[str]] = frozenset({"batches"})

    def __init__(
        self,
        when: tuple[int, int] | None = None,
        act: Callable[[Any], object] = lambda _: None,
    ) -> None:
        self.when = when
        self.act = act
        self.batches: list[tuple[int, int]] = []

    def after_val_iter(self, runner: RunContext, batch_idx: int, *_: Any) -> None:
        place = (runner.state.iteration, batch_idx)
        self.batches.append(place)
        if place == self.when:
            self.act(runner)


class SavesInside(At):
    """Owes a save after one batch of a validation, and pays it when asked to."""

    def __init__(self, when: tuple[int, int]) -> None:
        super().__init__(when, lambda runner: runner.owe(DueKind.SAVE, self, "in.pth"))

    def pay(self, runner: RunContext, due: Due) -> None:
        torch.rand(())  # what it draws, the validation does not see
        runner.save_checkpoint(runner.work_dir, due.name)


def make(folder: Path, hook: Hook, **changes: Any) -> Runner:
    """A toy run whose validation has three batches."""
    loader = {
        "dataset": Samples(7, augment=True),
        "batch_size": 3,
        "shuffle": True,
        "collate_fn": "default_collate",
        "num_workers": changes.pop("workers", 0),
    }
    changes = {"val_dataloader": loader, **changes}
    return make_runner(PLAN, folder, custom_hooks=[Recorder(), hook], **changes)


def whole(folder: Path, **changes: Any) -> tuple[dict[str, Any], list[Any]]:
    """What the run that is never stopped comes to, and the batches it evaluates."""
    hook = At()
    runner = make(folder, hook, **changes)
    runner.train()
    return story(runner), hook.batches


def signalled(_: object) -> None:
    """Send this process what a scheduler sends."""
    os.kill(os.getpid(), signal.SIGTERM)


def interrupted(runner: Any) -> None:
    """Ask for a halt."""
    runner.trainer.interrupt()


@pytest.mark.parametrize("begin", [0, 3])
@pytest.mark.parametrize("workers", [(0, 0), (0, 1), (1, 0)])
def test_a_signal_between_two_batches(
    begin: int, workers: tuple[int, int], tmp_path: Path
) -> None:
    """Also before the first iteration; whoever loads what is evaluated."""
    at_start = {"train_cfg": {"max_epochs": 2, "val_at_start": True}}
    expected, batches = whole(tmp_path / "whole", **at_start)
    first = At((begin, 1), signalled)
    runner = make(tmp_path, first, workers=workers[0], **at_start)
    with pytest.raises(RunInterrupted, match=r"saved .*stopped_iter"):
        runner.train()
    saved = read(tmp_path / f"stopped_iter_{begin}.pth")["engine"]
    assert saved["validation"]["batches"] == 2
    assert saved["at_safe_point"]
    second = At()
    resumed = make(tmp_path, second, resume="exact", workers=workers[1], **at_start)
    resumed.train()
    assert story(resumed) == expected
    assert first.batches + second.batches == batches
    report = resumed.trainer.resume_report
    assert report is not None
    (found,) = [one for one in report.parts if one.part == "validation"]
    assert found.reason == "it goes on after 2 batches"


def test_it_goes_on_in_the_same_process(tmp_path: Path) -> None:
    """An interrupt between two batches; ``train()`` again evaluates the rest."""
    expected, batches = whole(tmp_path / "whole")
    hook = At((3, 0), interrupted)
    runner = make(tmp_path, hook)
    runner.train()
    assert runner.state.phase is Phase.INTERRUPTED
    assert hook.batches == [(3, 0)]
    runner.train()
    assert story(runner) == expected
    assert hook.batches == batches


def test_a_save_that_is_owed_inside_is_done_there(tmp_path: Path) -> None:
    """The run goes on; one that resumes from the file evaluates the rest."""
    expected, batches = whole(tmp_path / "whole")
    hook = SavesInside((3, 1))
    runner = make(tmp_path, hook)
    runner.train()
    assert story(runner) == expected
    assert hook.batches == batches
    second = SavesInside((99, 0))
    given: dict[str, Any] = {"load_from": tmp_path / "in.pth", "resume": "exact"}
    resumed = make(tmp_path / "again", second, **given)
    resumed.train()
    assert story(resumed) == expected
    assert second.batches == [one for one in batches if one > (3, 1)]


def test_a_metric_that_nobody_can_look_into(tmp_path: Path) -> None:
    """A signal lets the validation begin again whole, and the report says so."""
    expected, batches = whole(tmp_path / "whole")
    first = At((3, 1), signalled)
    with pytest.raises(RunInterrupted):
        make(tmp_path, first, val_evaluator=Opaque()).train()
    second = At()
    resumed = make(tmp_path, second, val_evaluator=Opaque(), resume="exact")
    resumed.train()
    assert story(resumed) == expected
    assert second.batches == [one for one in batches if one >= (3, 0)]
    report = resumed.trainer.resume_report
    assert report is not None
    (found,) = [one for one in report.parts if one.part == "validation"]
    assert found.level is Exactness.EXACT
    assert "begins again whole" in found.reason
    assert "metrics[0] cannot be saved: Opaque: nobody can tell" in found.reason
    assert "its odd, a memoryview, changed" in found.reason


def test_an_interrupt_waits_for_such_a_metric(tmp_path: Path) -> None:
    """The validation ends first: nothing forces it to be begun again."""
    expected, batches = whole(tmp_path / "whole")
    hook = At((3, 0), interrupted)
    runner = make(tmp_path, hook, val_evaluator=Opaque())
    runner.train()
    assert hook.batches == [(3, 0), (3, 1), (3, 2)]
    runner.train()
    assert story(runner) == expected
    assert hook.batches == batches


def test_twice_in_one_validation(tmp_path: Path) -> None:
    """And the second stop is one that lets it begin again whole: where it went on."""
    expected, batches = whole(tmp_path / "whole")
    first = At((3, 0), signalled)
    with pytest.raises(RunInterrupted):
        make(tmp_path, first).train()
    second = At((3, 1), signalled)
    with pytest.raises(RunInterrupted):
        make(tmp_path, second, resume="exact").train()
    third = At()
    resumed = make(tmp_path, third, resume="exact")
    resumed.train()
    assert story(resumed) == expected
    assert first.batches + second.batches + third.batches == batches


def test_an_error_in_a_validation_that_was_gone_on_with(tmp_path: Path) -> None:
    """What is saved of it goes on where this one did."""

    def fail(_: object) -> None:
        raise ZeroDivisionError

    expected, batches = whole(tmp_path / "whole")
    first = At((3, 0), signalled)
    with pytest.raises(RunInterrupted):
        make(tmp_path, first).train()
    with pytest.raises(ZeroDivisionError):
        make(tmp_path, At((3, 1), fail), resume="exact").train()
    third = At()
    resumed = make(tmp_path, third, resume="exact")
    resumed.train()
    assert story(resumed) == expected
    assert first.batches + third.batches == batches


class OwnLoop(ValLoop):
    """A loop in MMEngine's way."""

    samples = 7

    def run(self) -> dict[str, Any]:
        self.runner.call_hook("before_val")
        self.runner.call_hook("before_val_epoch")
        for index, batch in enumerate(self.dataloader):
            self.run_iter(index, batch)
        metrics = dict(self.evaluator.evaluate(self.samples))
        self.runner.call_hook("after_val_epoch", metrics=metrics)
        self.runner.call_hook("after_val")
        return metrics


def test_a_loop_of_the_users_begins_again_whole(tmp_path: Path) -> None:
    """Nobody knows what it holds; its hooks do not see its begin twice."""
    val_cfg = {"type": OwnLoop}
    expected, _ = whole(tmp_path / "whole")
    with pytest.raises(RunInterrupted):
        make(tmp_path, At((3, 1), signalled), val_cfg=val_cfg).train()
    # Its evaluator was left half full: as with a loop of the user's own making.
    resumed = make(tmp_path, At(), val_cfg=val_cfg, resume="exact")
    resumed.train()
    assert story(resumed) == expected


def test_other_metrics_are_no_exact_resume(tmp_path: Path) -> None:
    """They begin again whole, though hooks have seen a part of it."""
    with pytest.raises(RunInterrupted):
        make(tmp_path, At((3, 1), signalled)).train()
    other: dict[str, Any] = {"val_evaluator": [Spread(), Opaque()]}
    other["val_evaluator"][1].prefix = "other"
    with pytest.raises(InexactResumeError, match="its metrics were"):
        make(tmp_path, At(), resume="exact", **other).train()
    hook = At()
    resumed = make(tmp_path, hook, resume=True, **other)
    resumed.train()
    assert hook.batches[:3] == [(3, 0), (3, 1), (3, 2)]


class Stream(IterableDataset[torch.Tensor]):
    """Batches from a global generator, one after another."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        for _ in range(4):
            yield torch.rand(2)


DATA: dict[str, Callable[[], Any]] = {
    "a list": lambda: [torch.tensor([0.1, 0.9]), torch.rand(2), torch.rand(2)],
    "a stream": lambda: DataLoader(Stream(), batch_size=None),
}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("stop", [1, 2])
def test_composed_engines_with_ignites_metrics(
    data: str, stop: int, tmp_path: Path
) -> None:
    """What attached metrics gathered comes back, whatever data they read."""

    def compose(stop: int | None) -> tuple[TrainEngine, list[Any]]:
        torch.manual_seed(3)
        told: list[Any] = []
        trainer = TrainEngine(
            lambda *_: None,
            RunState(seed=5),
            work_dir=tmp_path,
            facilities={"logger": quiet_logger()},
        )
        validator = EvalEngine(
            lambda _, batch: (
                (batch + 0.1 * torch.rand(2) > 0.5).long(),
                torch.tensor([0, 1]),
            ),
            metrics={
                "accuracy": Accuracy(),
                "running": RunningAverage(Accuracy()),
                "mean": Average(output_transform=lambda output: output[0].float()),
            },
        )
        trainer.validate_with(validator, DATA[data]())

        @validator.on(Events.EPOCH_COMPLETED)
        def note(validator: EvalEngine) -> None:
            told.append(bits(dict(validator.metrics)))

        @validator.on(Events.ITERATION_COMPLETED)
        def halt(validator: EvalEngine) -> None:
            if validator.state.iteration == stop:
                trainer.interrupt()

        return trainer, told

    trainer, expected = compose(None)
    trainer.run([1, 2], max_epochs=2)
    first, told = compose(stop)
    first.run([1, 2], max_epochs=2)
    assert not told
    first.save_checkpoint(tmp_path / "in.pth")
    second, told = compose(None)
    second.resume(tmp_path / "in.pth")
    second.run([1, 2], max_epochs=2)
    assert told == expected
    exact = "best effort: validation data" not in str(second.resume_report)
    assert exact == (data == "a list")
