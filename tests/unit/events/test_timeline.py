"""Where the time went, by a clock that tests move."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine import Hook
from engine.events import Events, Timeline
from engine.hooks import TimelineHook
from engine.loops import EvalEngine, TrainEngine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.state import RunContext


class Clock:
    """Seconds pass when something says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        """Let them pass."""
        self.now += seconds


class Data:
    """Three batches, each of which takes two seconds to come."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[float]:
        for batch in (1.0, 2.0, 3.0):
            self.clock.passes(2)
            yield batch


class Slow(Hook):
    """Takes time in its handlers."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def before_train_iter(self, runner: RunContext, *_: Any, **__: Any) -> None:
        self.clock.passes(0.5)

    def after_train_iter(self, runner: RunContext, *_: Any, **__: Any) -> None:
        self.clock.passes(1)

    def after_val_iter(self, runner: RunContext, *_: Any, **__: Any) -> None:
        self.clock.passes(4)


class Quiet:
    """A logger that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, _: str, line: str = "", **__: Any) -> None:
        """Keep it."""
        self.lines.append(line)

    warning = info


def measured(tmp_path: Path, *, fails: bool = False) -> tuple[Timeline, Quiet]:
    """Two epochs of three steps of ten seconds, with a validation after each."""
    clock, log = Clock(), Quiet()

    def step(_: TrainEngine, batch: float) -> float:
        clock.passes(10)
        return batch

    def val_step(_: EvalEngine, batch: float) -> float:
        clock.passes(20)
        return batch

    trainer = TrainEngine(step, work_dir=tmp_path, facilities={"logger": log})
    timeline = Timeline(clock)
    trainer.add_hook(Slow(clock))
    trainer.add_hook(TimelineHook(timeline))
    trainer.validate_with(EvalEngine(val_step), Data(clock))

    @trainer.on(Events.ITERATION_COMPLETED(every=2))
    def seldom() -> None:
        clock.passes(0.25)

    @trainer.on(Events.EPOCH_COMPLETED(once=2))
    def last() -> None:
        if fails:
            raise ValueError("no good")

    if fails:
        with pytest.raises(ValueError, match="no good"):
            trainer.run(Data(clock), max_epochs=2)
    else:
        trainer.run(Data(clock), max_epochs=2)
    return timeline, log


def test_each_part_has_its_own_time(tmp_path: Path) -> None:
    """Data, step, handlers and validations of training; the same of a validation."""
    timeline, _ = measured(tmp_path)
    train, val = timeline.meters["train"], timeline.meters["val"]
    assert {part: (one.calls, one.seconds) for part, one in train.parts.items()} == {
        "data": (6, 12.0),
        "step": (6, 60.0),
        "handlers": (train.parts["handlers"].calls, 6 * 1.5 + 3 * 0.25),
        "validation": (2, 2 * 3 * (2 + 20 + 4)),
    }
    assert {part: one.seconds for part, one in val.parts.items()} == {
        "data": 12.0,
        "step": 120.0,
        "handlers": 24.0,
    }
    assert train.seconds == 12 + 60 + 9.75 + 156


def test_each_handler_has_its_own_time(tmp_path: Path) -> None:
    """Calls that were filtered out do not count."""
    timeline, _ = measured(tmp_path)
    handlers = timeline.meters["train"].handlers
    slow = handlers["ITERATION_COMPLETED", "Slow.after_train_iter"]
    assert (slow.calls, slow.seconds, slow.longest, slow.mean) == (6, 6.0, 1.0, 1.0)
    (seldom,) = [one for (_, name), one in handlers.items() if "seldom" in name]
    assert (seldom.calls, seldom.seconds) == (3, 0.75)


@pytest.mark.parametrize("fails", [False, True])
def test_a_table_and_a_file_at_the_end(*, fails: bool, tmp_path: Path) -> None:
    """Also when the run fails."""
    timeline, log = measured(tmp_path, fails=fails)
    shown = log.lines[-1]
    saved = json.loads((tmp_path / "timeline.json").read_text())
    found = timeline.as_plain()["modes"]  # with the end of the call itself
    assert saved["modes"]["val"] == found["val"]
    assert saved["modes"]["train"]["seconds"] == found["train"]["seconds"]
    assert (saved["format"], saved["modes"]["train"]["iterations"]) == (1, 6)
    assert "train: " in shown
    assert "Slow.after_train_iter (ITERATION_COMPLETED)" in shown
    row = next(line for line in shown.splitlines() if line.startswith("  step "))
    assert row.split()[1:2] + row.split()[3:5] == ["60.0000", "6", "10000000.0"]


def test_without_it_nothing_is_measured(tmp_path: Path) -> None:
    """Events are compiled as ever, before a measured run and after it."""
    trainer = TrainEngine(lambda _, batch: batch, work_dir=tmp_path)
    trainer.context.facilities["logger"] = Quiet()
    trainer.add_hook(Slow(Clock()))
    names = ("STARTED", "ITERATION_STARTED", "ITERATION_COMPLETED", "GET_BATCH_STARTED")

    def compiled() -> list[str | None]:
        runs = [trainer.bus.dispatcher(name).run for name in names]
        return [None if run is None else run.__qualname__ for run in runs]

    before = compiled()
    trainer.add_hook(TimelineHook())
    trainer.run([1.0])
    assert compiled() == before
    assert before[0] is before[3] is None
    assert all("marked" not in one for one in before if one is not None)


def test_a_handler_that_is_removed_stays_removed() -> None:
    """Also one that goes while its event runs and is measured."""
    trainer = TrainEngine(lambda _, batch: batch)
    trainer.bus.measure_with(Timeline().meter("train"))
    calls: list[str] = []

    @trainer.on(Events.ITERATION_COMPLETED)
    def first() -> None:
        calls.append("first")
        trainer.remove_event_handler(second, Events.ITERATION_COMPLETED)

    @trainer.on(Events.ITERATION_COMPLETED)
    def second() -> None:
        calls.append("second")

    trainer.run([1.0])
    assert calls == ["first"]
