"""When lines and scalars are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import ConfigError
from engine.hooks import LoggerHook, RuntimeInfoHook
from engine.loops import EvalEngine, LogProcessor, TrainEngine
from tests.toys import echo_trainer

if TYPE_CHECKING:
    from collections.abc import Mapping


class Log:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **facts: Any) -> None:
        """Keep it."""
        self.lines.append((event, facts))

    def of(self, event: str) -> list[dict[str, Any]]:
        """What was told under one event."""
        return [facts for name, facts in self.lines if name == event]


class Board:
    """A visualizer that keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, dict[str, Any]]] = []
        self.closed = 0

    def add_scalars(self, scalars: Mapping[str, Any], *, step: int) -> None:
        """Keep them."""
        self.shown.append((step, dict(scalars)))

    def close(self) -> None:
        """Count."""
        self.closed += 1


class Fixed:
    """An evaluator with one metric."""

    def reset(self) -> None: ...
    def process(self, **_: Any) -> None: ...
    def evaluate(self, size: int) -> dict[str, float]:
        """One half."""
        return {"acc": 0.5}


def logged(hook: LoggerHook, **facilities: Any) -> tuple[TrainEngine, Log, Board]:
    """A trainer with the hook, its log and its board."""
    log, board = Log(), Board()
    trainer = echo_trainer(**{"logger": log, "visualizer": board, **facilities})
    trainer.add_hook(RuntimeInfoHook())
    trainer.add_hook(hook)
    return trainer, log, board


@pytest.mark.parametrize(
    ("ignore_last", "expected"), [(True, [2, 4, 7, 9]), (False, [2, 4, 5, 7, 9, 10])]
)
def test_a_line_is_written_each_so_many_iterations_of_an_epoch(
    *, ignore_last: bool, expected: list[int]
) -> None:
    """Counted within the epoch; the remainder at its end is left out or not."""
    trainer, log, board = logged(LoggerHook(interval=2, ignore_last=ignore_last))
    trainer.run([1.0, 2.0, 3.0, 4.0, 5.0], max_epochs=2)
    assert [facts["iter"] for facts in log.of("train")] == expected
    assert [step for step, _ in board.shown] == expected


def test_a_line_has_the_smoothed_scalars() -> None:
    """As the log processor gives them; the board gets the same."""
    processor = LogProcessor(window_size=2)
    trainer, log, board = logged(LoggerHook(interval=3), log_processor=processor)
    trainer.run([1.0, 2.0, 4.0])
    (facts,) = log.of("train")
    assert facts["loss"] == 3.0
    assert facts["line"].startswith("Epoch(train) [1][3/3]")
    assert board.shown == [(3, {"loss": 3.0, "epoch": 1, "iter": 3})]


def test_a_validation_writes_lines_and_its_metrics() -> None:
    """Lines each so many batches, metrics once, with their step."""
    trainer, log, board = logged(LoggerHook(interval=2))
    validator = EvalEngine(lambda _, batch: batch, metrics=Fixed())
    trainer.validate_with(validator, [0] * 5)
    trainer.run([1.0], max_epochs=2)
    assert len(log.of("val")) == 2 * 2
    assert [(one["acc"], one["step"]) for one in log.of("val_metrics")] == [
        (0.5, 1),
        (0.5, 2),
    ]
    assert board.shown == [(1, {"acc": 0.5}), (2, {"acc": 0.5})]
    assert "Epoch(val) [2][5/5]" in log.of("val_metrics")[1]["line"]


@pytest.mark.parametrize(
    ("by_epoch", "bound", "steps"),
    [
        (True, {"max_epochs": 2}, [1, 2]),
        (False, {"max_epochs": 2}, [3, 6]),
        (True, {"max_iters": 6}, [3, 6]),
    ],
)
def test_the_step_of_metrics_is_the_epoch_or_the_iteration(
    *, by_epoch: bool, bound: dict[str, int], steps: list[int]
) -> None:
    """As asked for; a run bounded by iterations has no epochs to show."""
    trainer, _, board = logged(LoggerHook(interval=99, log_metric_by_epoch=by_epoch))
    trainer.validate_with(
        EvalEngine(lambda _, batch: batch, metrics=Fixed()),
        [0],
        by_epoch="max_epochs" in bound,
        interval=1 if "max_epochs" in bound else 3,
    )
    trainer.run([1.0, 1.0, 1.0], **bound)
    assert [step for step, _ in board.shown] == steps


def test_a_test_writes_its_metrics() -> None:
    """At the iteration that training has come to."""
    trainer, log, board = logged(LoggerHook(interval=1))
    tester = EvalEngine(lambda _, batch: batch, metrics=Fixed(), mode="test")
    tester.join(trainer.context, trainer.run_state)
    trainer.context.tester = tester
    tester.run([0, 0])
    assert len(log.of("test")) == 2
    assert log.of("test_metrics")[0]["acc"] == 0.5
    assert board.shown == [(0, {"acc": 0.5})]


def test_scalars_may_be_called_as_a_lines_own_keys() -> None:
    """A ranking loss, say: in the log it has an underscore, the board has its name."""

    class Odd(Fixed):
        def evaluate(self, size: int) -> dict[str, float]:
            return {"step": 0.5, "event": 0.25}

    trainer, log, board = logged(LoggerHook(interval=1))
    trainer.validate_with(EvalEngine(lambda _, batch: batch, metrics=Odd()), [0])
    losses = {"rank": 1.0, "run": 2.0, "line": 3.0, "event": 4.0, "time_spent": 5.0}
    trainer.run([losses])
    (facts,) = log.of("train")
    assert {f"{name}_" for name in losses} <= set(facts)
    assert facts["line"].startswith("Epoch(train)")
    assert "rank" not in facts
    assert losses.items() <= board.shown[0][1].items()
    (facts,) = log.of("val_metrics")
    assert (facts["step"], facts["step_"], facts["event_"]) == (1, 0.5, 0.25)


def test_the_experiment_is_named_now_and_then() -> None:
    """Every so many iterations of the run, where it has a name."""
    hook = LoggerHook(interval=2, interval_exp_name=4)
    trainer, log, _ = logged(hook, experiment_name="toy")
    trainer.run([1.0] * 9)
    assert [facts["name"] for facts in log.of("experiment")] == ["toy", "toy"]
    nameless, log, _ = logged(LoggerHook(interval=2, interval_exp_name=4))
    nameless.run([1.0] * 9)
    assert log.of("experiment") == []


def test_the_board_is_closed_when_the_run_is_over() -> None:
    """Once for each call."""
    trainer, _, board = logged(LoggerHook())
    trainer.run([1.0])
    assert board.closed == 1


@pytest.mark.parametrize("name", ["interval", "interval_exp_name"])
@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3"])
def test_an_interval_is_a_whole_number_of_at_least_1(name: str, value: Any) -> None:
    """The error names the argument and what was found."""
    with pytest.raises(ConfigError, match=rf"^LoggerHook: {name}={value!r}: give a wh"):
        LoggerHook(**{name: value})
