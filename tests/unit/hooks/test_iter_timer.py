"""Where the time of an iteration goes, by a clock that the test turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.events import Events
from engine.hooks import Hook, IterTimerHook
from engine.loops import EvalEngine, TrainEngine
from engine.state import MessageHub, RunState
from tests.toys import quiet_logger

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock:
    """A clock that stands still until somebody takes time."""

    now = 100.0

    def __call__(self) -> float:
        """What it shows."""
        return self.now

    def take(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the hook looks at."""
    clock = Clock()
    monkeypatch.setattr("engine.hooks.iter_timer.perf_counter", clock)
    return clock


class Slow:
    """Data whose batches take a while, each its own time."""

    def __init__(self, clock: Clock, waits: list[float]) -> None:
        self.clock = clock
        self.waits = waits

    def __len__(self) -> int:
        return len(self.waits)

    def __iter__(self) -> Iterator[float]:
        for wait in self.waits:
            self.clock.take(wait)
            yield wait


def times(hub: MessageHub, mode: str) -> tuple[list[float], list[float]]:
    """All recorded times, and those of waiting for data."""
    whole = hub.get_scalar(f"{mode}/time").data[0].tolist()
    return whole, hub.get_scalar(f"{mode}/data_time").data[0].tolist()


def test_an_iteration_is_waiting_and_working(clock: Clock) -> None:
    """``data_time`` is the wait for the batch, ``time`` all since the last one."""
    trainer = TrainEngine(
        lambda *_: clock.take(2.0), RunState(seed=0), facilities={"logger": None}
    )
    trainer.add_hook(IterTimerHook())
    trainer.run(Slow(clock, [0.5, 0.25]))
    assert times(trainer.run_state.hub, "train") == ([2.5, 2.25], [0.5, 0.25])


def test_what_lies_between_epochs_belongs_to_none(clock: Clock) -> None:
    """A long validation, or saving, is not in the next iteration's time."""
    trainer = TrainEngine(
        lambda *_: clock.take(2.0), RunState(seed=0), facilities={"logger": None}
    )
    validator = EvalEngine(lambda *_: clock.take(50.0))
    for engine in (trainer, validator):
        engine.add_event_handler(Events.EPOCH_COMPLETED, clock.take, 30.0)
    trainer.validate_with(validator, Slow(clock, [7.0]))
    trainer.add_hook(IterTimerHook())
    trainer.run(Slow(clock, [0.5]), max_epochs=2)
    assert times(trainer.run_state.hub, "train") == ([2.5, 2.5], [0.5, 0.5])
    assert times(trainer.run_state.hub, "val") == ([57.0, 57.0], [7.0, 7.0])


def test_the_time_left_follows_from_the_mean_so_far(clock: Clock) -> None:
    """Iterations left times the mean of this process, to the end of all epochs."""
    seen: list[float] = []

    class Looks(Hook):
        priority = "LOW"

        def after_train_iter(
            self,
            runner: Any,
            batch_idx: int,
            data_batch: Any = None,
            outputs: Any = None,
        ) -> None:
            seen.append(runner.message_hub.get_info("eta"))

    trainer = TrainEngine(
        lambda *_: clock.take(1.0), RunState(seed=0), facilities={"logger": None}
    )
    trainer.add_hook(IterTimerHook())
    trainer.add_hook(Looks())
    trainer.run(Slow(clock, [1.0, 3.0]), max_epochs=2)
    assert seen == [3 * 2.0, 2 * 3.0, 1 * (8 / 3), 0.0]


def test_a_resumed_run_forgets_the_pace_of_the_one_before(clock: Clock) -> None:
    """The mean is this process's, and no checkpoint carries the time left."""
    trainer = TrainEngine(
        lambda _, batch: clock.take(batch),
        RunState(seed=0),
        facilities={"logger": quiet_logger()},
    )
    trainer.add_hook(IterTimerHook())
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=2), trainer.interrupt)
    trainer.run([100.0, 100.0, 1.0, 1.0])
    saved = trainer.run_state
    assert "eta" not in saved.hub.state_dict()["info"]

    again = TrainEngine(
        lambda _, batch: clock.take(batch),
        RunState(seed=0),
        facilities={"logger": quiet_logger()},
    )
    again.add_hook(IterTimerHook())
    again.run_state.load_state_dict(saved.state_dict())
    again.add_event_handler(Events.ITERATION_COMPLETED(once=3), again.interrupt)
    again.run([100.0, 100.0, 1.0, 1.0])
    assert again.run_state.hub.get_info("eta") == 1.0
