"""A small run with everything in it, stopped at each safe point, and at each pair."""

from __future__ import annotations

import json
from functools import cache
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from engine import CheckpointHook, Hook, Phase, Runner
from engine.hooks import EarlyStoppingHook, EMAHook
from tests.runs import Recorder, RunPlan, bits, make_runner, story

if TYPE_CHECKING:
    from engine.state import RunContext

TIMES = ("time", "data_time", "eta", "memory", "elapsed", "timestamp")
PLANS = {
    "validation by epoch": RunPlan(max_epochs=2, accumulate=2, watched=True),
    "validation by iteration": RunPlan(
        max_epochs=None, max_iters=7, accumulate=3, watched=True, val_interval=2
    ),
    "ended early": RunPlan(max_epochs=9, size=6, accumulate=3, watched=True),
}


class StopAt(Hook):
    """Interrupts a run at one of its safe points.

    Args:
        number: Which, from 0; ``None``: it only counts.
    """

    transient: ClassVar[frozenset[str]] = frozenset({"seen"})

    def __init__(self, number: int | None) -> None:
        self.number = number
        self.seen = 0

    def on_safe_point(self, runner: RunContext) -> None:
        if self.seen == self.number:
            runner.trainer.interrupt()
        self.seen += 1


def make(plan: RunPlan, work_dir: Path, stop: StopAt, **more: Any) -> Runner:
    """The run: schedules, accumulation, averages, validations, the best of them."""
    hooks = [
        Recorder(),
        CheckpointHook(
            interval=1,
            by_epoch=plan.max_iters is None,
            save_best=["mean", "drawn"],
            rule=["less", "greater"],
            max_keep_ckpts=2,
        ),
        EMAHook(ema_type="MomentumAnnealingEMA", gamma=3, begin_iter=2),
        # After the first validation no other one is good enough.
        EarlyStoppingHook("mean", rule="less", min_delta=1e9, patience=2),
        stop,
    ]
    return make_runner(plan, work_dir, custom_hooks=hooks, **more)


def told(runner: Runner) -> Any:
    """All that must be equal: state, averages, hooks, files, and the metrics file."""
    (ema,) = [hook for hook in runner.hooks if isinstance(hook, EMAHook)]
    hooks = runner.hook_set.state_dict()
    (scalars,) = runner.work_dir.glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    return {
        **story(runner),
        "averages": bits(ema.ema_model.state_dict()),
        "hooks": bits(hooks),
        "files": sorted(
            one.name for one in runner.work_dir.glob("*.pth") if one.name != "cut.pth"
        ),
        "metrics": [
            {key: value for key, value in line.items() if key not in TIMES}
            for line in lines
        ],
    }


def run(name: str, stops: tuple[int, ...]) -> tuple[Any, int]:
    """Train with stops, each followed by a resume by fresh objects.

    Returns:
        What the run came to, and the safe points that the last part passed.
    """
    with TemporaryDirectory() as folder:
        more: dict[str, Any] = {}
        for number in (*stops, None):
            # Safe points are counted anew in each part: the stop itself was the first.
            stop = StopAt(number)
            runner = make(PLANS[name], Path(folder), stop, **more)
            runner.train()
            if runner.state.phase is Phase.FINISHED:
                break  # nothing was left to do at that point, or at any
            if number is not None:
                runner.save_checkpoint(folder, "cut.pth")
                more = {"load_from": Path(folder, "cut.pth"), "resume": "exact"}
        assert runner.state.phase is Phase.FINISHED
        return told(runner), stop.seen


@cache
def whole(name: str) -> tuple[Any, int]:
    """The run that was never stopped."""
    return run(name, ())


@pytest.mark.parametrize("name", PLANS)
def test_stopped_at_each_safe_point(name: str) -> None:
    """It is the unbroken run, to the bit: weights, averages, hooks, files, metrics."""
    expected, points = whole(name)
    assert points > len(expected["metrics"]) // 2
    # That of the iterations ends early too, but at its last validation but one.
    assert (expected["state"]["stop_reason"] is None) == (name == "validation by epoch")
    for number in range(points):
        found, _ = run(name, (number,))
        assert found == expected, f"stopped at safe point {number}"


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_stopped_at_each_pair_of_safe_points(name: str) -> None:
    """Also twice in one epoch, and twice at one place."""
    expected, points = whole(name)
    for first, second in combinations(range(points), 2):
        found, _ = run(name, (first, second - first - 1))
        assert found == expected, f"stopped at safe points {first} and {second}"
