"""The Runner's training loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import ConfigError
from engine.loops import EpochBasedTrainLoop, IterBasedTrainLoop
from engine.registry import LOOPS
from tests.runs import RunPlan, make_runner, recorder

if TYPE_CHECKING:
    from pathlib import Path


def test_limits_by_epoch() -> None:
    """Iterations follow from the data's length; 0 where it has none."""
    loop = EpochBasedTrainLoop(None, [1, 2, 3], max_epochs=4)
    assert (loop.max_epochs, loop.max_iters) == (4, 12)
    assert EpochBasedTrainLoop(None, iter([1]), max_epochs=4).max_iters == 0


def test_limits_by_iteration() -> None:
    """One epoch."""
    loop = IterBasedTrainLoop(None, [1, 2, 3], max_iters=4)
    assert (loop.max_epochs, loop.max_iters) == (1, 4)
    assert loop.plan.interval == 1000


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3", None])
def test_limits_are_whole_numbers(value: Any) -> None:
    """Of at least 1."""
    with pytest.raises(ConfigError, match=r"train_cfg: max_epochs=.*at least 1"):
        EpochBasedTrainLoop(None, [1], max_epochs=value)
    with pytest.raises(ConfigError, match=r"train_cfg: max_iters=.*at least 1"):
        IterBasedTrainLoop(None, [1], max_iters=value)


def test_val_interval_is_that_of_the_present_place(tmp_path: Path) -> None:
    """dynamic_intervals change it."""
    plan = RunPlan(max_epochs=None, size=4)
    cfg = {"max_epochs": 5, "val_interval": 3, "dynamic_intervals": [(4, 1)]}
    runner = make_runner(plan, tmp_path, train_cfg=cfg)
    runner.train()
    at = [event[1] for event in recorder(runner).events if event[0] == "validation"]
    assert at == [3, 4, 5]
    assert (runner.val_interval, runner.val_begin) == (1, 1)


def test_stop_training_ends_after_the_epoch(tmp_path: Path) -> None:
    """As EarlyStoppingHook asks for it."""
    runner = make_runner(RunPlan(max_epochs=5, size=8), tmp_path)

    def stop(_: object) -> None:
        runner.train_loop.stop_training = True

    runner.trainer.add_event_handler("ITERATION_COMPLETED", stop)
    runner.train()
    assert runner.train_loop.stop_training
    assert (runner.epoch, runner.iter) == (1, 2)
    assert (runner.train_loop.epoch, runner.train_loop.iter) == (1, 2)


def test_validating_at_the_start(tmp_path: Path) -> None:
    """Once, also across a resume."""
    plan = RunPlan(max_epochs=None, size=4)
    cfg = {"max_epochs": 2, "val_at_start": True}
    runner = make_runner(plan, tmp_path / "a", train_cfg=cfg)
    runner.train()
    rest = make_runner(
        plan,
        tmp_path / "b",
        train_cfg=cfg,
        load_from=tmp_path / "a" / "iter_1.pth",
        resume=True,
    )
    rest.train()
    for one in (runner, rest):
        at = [event[2] for event in recorder(one).events if event[0] == "validation"]
        assert at == [0, 1, 2]


def test_they_are_registered() -> None:
    """Specs name them."""
    assert LOOPS.get("EpochBasedTrainLoop") is EpochBasedTrainLoop
    assert LOOPS.get("IterBasedTrainLoop") is IterBasedTrainLoop
