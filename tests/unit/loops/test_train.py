"""The trainer: bounds, order of events, safe points, stopping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from ignite.engine import Events as IgniteEvents
from ignite.handlers import TerminateOnNan
from torch.utils.data import DataLoader, Dataset, IterableDataset

from engine import Events, Hook, Phase, RunState, TrainEngine
from engine.checkpoint import read
from engine.errors import (
    CheckpointError,
    CheckpointNotFoundError,
    DataError,
    StateError,
)
from engine.hooks import CheckpointHook
from engine.loops import EvalEngine

if TYPE_CHECKING:
    from pathlib import Path

    from engine.state import RunContext

DATA = [10, 11, 12]


class Diary(Hook):
    """Writes down each event, with Runner-like counters."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _note(self, what: str, runner: RunContext) -> None:
        self.lines.append(f"{what} {runner.epoch}/{runner.iter}")

    def before_run(self, runner: RunContext) -> None:
        self._note("run>", runner)

    def after_run(self, runner: RunContext) -> None:
        self._note("run<", runner)

    def before_train(self, runner: RunContext) -> None:
        self._note("train>", runner)

    def after_train(self, runner: RunContext) -> None:
        self._note("train<", runner)

    def before_train_epoch(self, runner: RunContext) -> None:
        self._note("epoch>", runner)

    def after_train_epoch(self, runner: RunContext) -> None:
        self._note("epoch<", runner)

    def before_train_iter(
        self, runner: RunContext, batch_idx: int, data_batch: Any = None
    ) -> None:
        self._note(f"iter> {batch_idx}:{data_batch}", runner)

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        self._note(f"iter< {batch_idx}:{data_batch}:{outputs}", runner)

    def before_val(self, runner: RunContext) -> None:
        self._note("val>", runner)

    def on_interrupt(self, runner: RunContext, signal: int | None) -> None:
        self._note(f"interrupt {signal}", runner)


class Sevens(Dataset[float]):
    """Seven ones."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> float:
        return 1.0


def trainer(**settings: Any) -> TrainEngine:
    """One whose step returns ten times its batch."""
    return TrainEngine(lambda _, batch: 10 * batch, RunState(seed=0), **settings)


def test_events_in_order_with_their_counters() -> None:
    """As the drawing in events/event.py has it; runner.iter is MMEngine's."""
    engine, diary = trainer(), Diary()
    engine.add_hook(diary)
    engine.run([1, 2], max_epochs=2)
    assert diary.lines == [
        "run> 0/0",
        "train> 0/0",
        "epoch> 0/0",
        "iter> 0:1 0/0",
        "iter< 0:1:10 0/0",
        "iter> 1:2 0/1",
        "iter< 1:2:20 0/1",
        "epoch< 0/2",
        "epoch> 1/2",
        "iter> 0:1 1/2",
        "iter< 0:1:10 1/2",
        "iter> 1:2 1/3",
        "iter< 1:2:20 1/3",
        "epoch< 1/4",
        "train< 2/4",
        "run< 2/4",
    ]


def test_a_run_by_iterations_restarts_its_data() -> None:
    """One epoch; the last pass is not finished."""
    engine = trainer()
    seen: list[int] = []
    engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda e: seen.append(e.state.batch)
    )
    engine.run(DATA, max_iters=5)
    assert seen == [10, 11, 12, 10, 11]
    done = engine.run_state.progress
    assert (done.epoch, done.iteration, done.data_pass, done.pass_batch) == (1, 5, 1, 2)


def test_an_epoch_may_be_shorter_or_longer_than_a_pass() -> None:
    """epoch_length says how long it is; the data goes on where it was."""
    engine = trainer()
    seen: list[int] = []
    engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda e: seen.append(e.state.batch)
    )
    engine.run(DATA, max_epochs=2, epoch_length=2)
    assert seen == [10, 11, 12, 10]


def test_data_without_a_length_tells_it_in_its_first_epoch() -> None:
    """Two epochs of what it gives."""

    class Stream(IterableDataset[int]):
        def __iter__(self) -> Any:
            return iter([1, 2, 3])

    engine = trainer()
    engine.run(DataLoader(Stream(), batch_size=1), max_epochs=2)
    assert engine.run_state.iteration == 6
    assert engine.run_state.limits.epoch_length == 3


def test_without_data_the_step_gets_none() -> None:
    """epoch_length is needed then."""
    seen: list[Any] = []
    engine = TrainEngine(lambda _, batch: seen.append(batch), RunState(seed=0))
    with pytest.raises(StateError, match="needs epoch_length"):
        engine.run(max_epochs=1)
    engine.run(max_epochs=2, epoch_length=2)
    assert seen == [None] * 4


def test_stop_ends_after_the_running_epoch() -> None:
    """With its end handled; the phase is FINISHED and says why."""
    engine, diary = trainer(), Diary()
    engine.add_hook(diary)
    engine.add_event_handler(
        Events.ITERATION_COMPLETED(once=1), lambda e: e.stop("enough")
    )
    engine.run(DATA, max_epochs=5)
    assert engine.run_state.iteration == 3
    assert diary.lines[-3:] == ["epoch< 0/3", "train< 1/3", "run< 1/3"]
    assert engine.run_state.phase is Phase.FINISHED
    assert engine.run_state.stop_reason == "enough"


def test_stop_ends_after_the_running_iteration_of_a_run_by_iterations() -> None:
    """Its one epoch is closed."""
    engine, diary = trainer(), Diary()
    engine.add_hook(diary)
    engine.add_event_handler(
        Events.ITERATION_COMPLETED(once=2), lambda e: e.stop("enough")
    )
    engine.run(DATA, max_iters=9)
    assert engine.run_state.iteration == 2
    assert diary.lines[-3:] == ["epoch< 0/2", "train< 1/2", "run< 1/2"]


def test_terminate_ends_inside_an_epoch() -> None:
    """As Ignite's own handlers do it, here TerminateOnNan."""
    engine = TrainEngine(lambda _, batch: float(batch), RunState(seed=0))
    engine.add_event_handler(Events.ITERATION_COMPLETED, TerminateOnNan())
    engine.run([1.0, float("nan"), 2.0], max_epochs=2)
    assert engine.run_state.iteration == 2
    assert engine.run_state.phase is Phase.FINISHED


def test_terminate_epoch_goes_on_with_the_next() -> None:
    """What is left of the pass is not read."""
    engine = trainer()
    seen: list[int] = []

    @engine.on(Events.ITERATION_COMPLETED)
    def look(trainer: TrainEngine) -> None:
        seen.append(trainer.state.batch or 0)
        if len(seen) == 1:
            trainer.terminate_epoch()

    engine.run(DATA, max_epochs=2)
    assert seen == [10, 10, 11, 12]
    assert engine.run_state.epoch == 2


def test_interrupt_and_run_goes_on() -> None:
    """The phase tells; nothing is done twice or left out."""
    engine, diary = trainer(), Diary()
    engine.add_hook(diary)
    engine.add_event_handler(
        Events.ITERATION_COMPLETED(once=2), lambda e: e.interrupt(15)
    )
    engine.run(DATA, max_epochs=2)
    assert engine.run_state.phase is Phase.INTERRUPTED
    assert diary.lines[-1] == "interrupt 15 0/2"
    assert engine.run_state.iteration == 2
    engine.run()
    state = engine.run_state
    assert state.phase is Phase.FINISHED
    batches = [line.split()[1] for line in diary.lines if line.startswith("iter> ")]
    assert batches == ["0:10", "1:11", "2:12"] * 2


def test_an_error_reaches_the_caller_with_notes() -> None:
    """Which handler, where, and what to do; the phase is FAILED."""
    engine = trainer()

    @engine.on(Events.ITERATION_COMPLETED(once=2))
    def break_it(_: TrainEngine) -> None:
        raise ValueError("oh no")

    with pytest.raises(ValueError, match="oh no") as caught:
        engine.run(DATA, max_epochs=2)
    notes = "\n".join(vars(caught.value)["__notes__"])
    assert "break_it on ITERATION_COMPLETED, iteration 2" in notes
    assert "This run has no checkpoint yet: it begins anew" in notes
    assert engine.run_state.phase is Phase.FAILED
    with pytest.raises(StateError, match="cannot go from failed to training"):
        engine.run(DATA, max_epochs=2)


def test_ignites_handlers_cannot_swallow_an_error() -> None:
    """EXCEPTION_RAISED runs once and the error goes on."""
    engine = TrainEngine(lambda *_: 1 / 0, RunState(seed=0))
    told: list[Any] = []
    engine.add_event_handler(
        IgniteEvents.EXCEPTION_RAISED, lambda _, error: told.append(error)
    )
    with pytest.raises(ZeroDivisionError) as caught:
        engine.run(DATA)
    assert told == [caught.value]


def test_a_finished_run_goes_on_with_a_larger_bound() -> None:
    """And with nothing else."""
    engine = trainer()
    engine.run(DATA, max_epochs=1)
    with pytest.raises(StateError, match="Raise max_epochs"):
        engine.run(DATA, max_epochs=1)
    engine.run(DATA, max_epochs=2)
    assert engine.run_state.iteration == 6


@pytest.mark.parametrize(
    ("settings", "at"),
    [
        ({}, [3, 6, 9]),
        ({"interval": 2}, [6, 9]),
        ({"begin": 3}, [9]),
        ({"by_epoch": False, "interval": 4}, [4, 8, 9]),
        ({"at_start": True, "interval": 3}, [0, 9]),
    ],
)
def test_validations_are_due_where_the_plan_says(
    settings: dict[str, Any], at: list[int]
) -> None:
    """Three epochs of three iterations."""
    engine = trainer()
    seen: list[int] = []
    validator = EvalEngine(lambda _, batch: batch)
    engine.validate_with(validator, [1], **settings)
    validator.add_event_handler(
        Events.STARTED, lambda _: seen.append(engine.run_state.iteration)
    )
    engine.run(DATA, max_epochs=3)
    assert seen == at


def test_a_save_from_a_handler_says_so(tmp_path: Path) -> None:
    """A resume from it is remarked upon; one at a safe point is not."""
    engine = trainer()
    engine.track(model=torch.nn.Linear(1, 1))
    engine.add_event_handler(
        Events.ITERATION_COMPLETED(once=1),
        lambda e: e.save_checkpoint(tmp_path / "inside.pth"),
    )
    engine.run(DATA, max_epochs=1)
    engine.save_checkpoint(tmp_path / "after.pth", meta={"who": "me"})
    assert not read(tmp_path / "inside.pth")["engine"]["at_safe_point"]
    after = read(tmp_path / "after.pth")
    assert after["engine"]["at_safe_point"]
    assert after["meta"]["who"] == "me"
    other = trainer()
    other.track(model=torch.nn.Linear(1, 1))
    (found,) = other.resume(tmp_path / "inside.pth").inexact
    assert "saved from inside a handler" in found.reason


def test_resume_takes_a_folders_newest(tmp_path: Path) -> None:
    """Or says that there is none."""
    with pytest.raises(CheckpointNotFoundError, match="holds no checkpoint"):
        trainer().resume(tmp_path)
    first = trainer(work_dir=tmp_path)
    first.add_hook(CheckpointHook(interval=1, max_keep_ckpts=1))
    first.run(DATA, max_epochs=2)
    second = trainer()
    second.resume(tmp_path)
    assert second.run_state.iteration == 6
    assert second.run_state.phase is Phase.FINISHED
    second.run(DATA, max_epochs=2)
    assert second.run_state.iteration == 6, "nothing to do is no error"


def test_resume_is_refused_while_training(tmp_path: Path) -> None:
    """It would pull the ground from under the loop."""
    engine = trainer()
    engine.save_checkpoint(tmp_path / "a.pth")
    engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda e: e.resume(tmp_path / "a.pth")
    )
    with pytest.raises(StateError, match="cannot resume while training"):
        engine.run(DATA)


def test_other_data_than_the_run_began_with_is_refused(tmp_path: Path) -> None:
    """An epoch of another length is another run."""
    engine = trainer()
    engine.add_event_handler(
        Events.ITERATION_COMPLETED(once=1), lambda e: e.interrupt()
    )
    engine.run(DATA, max_epochs=2)
    engine.save_checkpoint(tmp_path / "a.pth")
    other = trainer()
    other.resume(tmp_path / "a.pth")
    with pytest.raises(StateError, match=r"has 3 batches.*has 4"):
        other.run([*DATA, 13], max_epochs=2)


def test_what_is_tracked_needs_state() -> None:
    """The message names the part."""
    with pytest.raises(CheckpointError, match=r"optimizer: an int has no state_dict"):
        trainer().track(optimizer=3)


def test_no_data_is_refused_before_the_phase_moves() -> None:
    """The run can still be trained with better data."""
    engine = trainer()
    with pytest.raises(DataError, match="0 samples"):
        engine.run([])
    assert engine.run_state.phase is Phase.READY
    engine.run(DATA)


def test_samples_and_optimizer_steps_are_counted() -> None:
    """Of the loader's batches, the last smaller one too; of the tracked optimizer."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def step(engine: TrainEngine, batch: Any) -> None:
        weight.grad = torch.ones(1)
        if engine.run_state.iteration % 2:
            optimizer.step()

    engine = TrainEngine(step, RunState(seed=0))
    engine.track(optimizer=optimizer)
    engine.run(DataLoader(Sevens(), batch_size=3), max_epochs=2)
    assert engine.run_state.samples == 14
    assert engine.run_state.optimizer_steps == 3
