"""Where the time of a training process goes, on a clock that only the test moves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from torch.utils.data import Dataset

from engine import CheckpointHook, EvalEngine, Hook, Runner, TrainEngine
from engine.loops.spent import TimeSpent
from engine.state import Progress
from tests.runs import RunPlan, make_runner

if TYPE_CHECKING:
    from pathlib import Path

    from engine.state import RunContext


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the engine reads."""
    one = Clock()
    for module in ("spent", "train", "paying"):
        monkeypatch.setattr(f"engine.loops.{module}.perf_counter", one)
    return one


class Slow(Dataset[int]):
    """Four samples, each of which takes two seconds."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        self.clock.passes(2)
        return index


class SlowHook(Hook):
    """One second after each iteration, seven for each save, 100 between epochs."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def after_train_iter(self, *_: Any, **__: Any) -> None:
        self.clock.passes(1)

    def before_train_epoch(self, runner: RunContext) -> None:
        self.clock.passes(100)

    def before_save_checkpoint(self, runner: RunContext, checkpoint: Any) -> None:
        self.clock.passes(7)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        assert state == {}


def compose(clock: Clock, work_dir: Path) -> tuple[TrainEngine, Any]:
    """A trainer that saves and validates after each of its epochs, and its data."""
    from torch.utils.data import DataLoader

    trainer = TrainEngine(lambda *_: clock.passes(3), work_dir=work_dir)
    validator = EvalEngine(lambda *_: clock.passes(5))
    trainer.validate_with(validator, [0, 1])
    trainer.add_hook(SlowHook(clock))
    trainer.add_hook(CheckpointHook(interval=1))
    return trainer, DataLoader(Slow(clock), batch_size=2)


def test_each_second_is_put_where_it_was_spent(clock: Clock, tmp_path: Path) -> None:
    """Data, step, validation, saves; what is left is hooks'."""
    trainer, data = compose(clock, tmp_path)
    trainer.run(data, max_epochs=3)
    found = trainer.spent.describe(trainer.run_state.progress)
    rest = 6 * 1 + 3 * 100
    assert found == {
        "data": 6 * 2 * 2,
        "step": 6 * 3,
        "validation": 3 * 2 * 5,
        "saving": 3 * 7,
        "training": 6 * 2 * 2 + 6 * 3 + 3 * 2 * 5 + 3 * 7 + rest,
        "iterations": 6,
        "samples": 12,
    }


def test_a_resumed_process_measures_its_own_time(clock: Clock, tmp_path: Path) -> None:
    """What the first one spent is in the first one's log."""
    first, data = compose(clock, tmp_path)
    first.run(data, max_epochs=1)
    second, data = compose(clock, tmp_path)
    second.resume(tmp_path / "epoch_1.pth")
    second.run(data, max_epochs=2)
    found = second.spent.describe(second.run_state.progress)
    assert (found["iterations"], found["samples"]) == (2, 4)
    assert (found["step"], found["data"]) == (6, 8)


def last_lines(runner: Runner) -> list[dict[str, Any]]:
    """The log of a Runner."""
    (log,) = runner.log_dir.glob("*.log.jsonl")
    return [json.loads(one) for one in log.read_text().splitlines()]


def watched(tmp_path: Path, **more: Any) -> Runner:
    """A Runner that logs each iteration."""
    return make_runner(RunPlan(watched=True), tmp_path, log_level="INFO", **more)


def test_the_log_tells_time_and_ends_by_saying_how_it_ended(tmp_path: Path) -> None:
    """A run to its bound; the metrics file has no place for the clock's numbers."""
    runner = watched(tmp_path)
    runner.train()
    lines = last_lines(runner)
    assert lines[-1]["event"] == "training_ends"
    told = {name: lines[-1][name] for name in ("outcome", "epoch", "iter")}
    assert told == {"outcome": "finished", "epoch": 2, "iter": 6}
    trained = [one for one in lines if one["event"] == "train"]
    assert [one["time_spent"]["iterations"] for one in trained] == [1, 2, 3, 4, 5, 6]
    spent = lines[-1]["time_spent"]
    parts = [spent[name] for name in ("data", "step", "validation", "saving")]
    assert min(parts) > 0
    assert sum(parts) <= spent["training"]
    validated = [one for one in lines if one["event"] == "val_metrics"]
    assert [(one["step"], one["iter"]) for one in validated] == [(1, 3), (2, 6)]
    metrics = (runner.log_dir / "vis_data" / "scalars.json").read_text()
    assert "time_spent" not in metrics


class Breaks(Hook):
    """Raises in an iteration, or asks the run to stop."""

    def __init__(self, how: str) -> None:
        self.how = how

    def after_train_iter(
        self, runner: RunContext, batch_idx: int, *_: Any, **__: Any
    ) -> None:
        if batch_idx == 1 and self.how == "raises":
            message = "the disk is on fire"
            raise ValueError(message)
        if self.how == "stops":
            runner.stop("good enough")

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        assert state == {}


def test_the_log_of_a_failed_run_says_why(tmp_path: Path) -> None:
    """With the traceback, and the error reaches the caller."""
    runner = watched(tmp_path, custom_hooks=[Breaks("raises")])
    with pytest.raises(ValueError, match="the disk is on fire"):
        runner.train()
    last = last_lines(runner)[-1]
    assert (last["event"], last["level"]) == ("run_failed", "error")
    assert last["error"] == "ValueError: the disk is on fire"
    assert "Breaks" in last["traceback"]
    assert last["iter"] == 2


def test_the_log_of_a_stopped_run_says_why(tmp_path: Path) -> None:
    """A hook's reason."""
    runner = watched(tmp_path, custom_hooks=[Breaks("stops")])
    runner.train()
    last = last_lines(runner)[-1]
    assert (last["outcome"], last["reason"]) == ("stopped", "good enough")


def test_a_process_that_fails_before_it_trains_has_done_nothing() -> None:
    """What it found done in the checkpoint is another process's work."""
    spent = TimeSpent()
    told = spent.describe(Progress(iteration=160, samples=8000))
    assert set(told.values()) == {0.0}
