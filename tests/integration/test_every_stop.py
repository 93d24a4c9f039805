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
from tests.runs import Recorder, RunPlan, Samples, bits, make_runner, story

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


class Outputs(Hook):
    """Remembers what a validation's batches gave, and where it began and ended."""

    def __init__(self) -> None:
        self.told: list[list[Any]] = []

    def before_val_epoch(self, runner: RunContext) -> None:
        self.told.append(["begins", runner.iter])

    def after_val_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        self.told.append([batch_idx, data_batch[0].tolist(), data_batch[1].tolist()])
        self.told[-1] += [one["outputs"].tolist() for one in outputs]

    def state_dict(self) -> dict[str, Any]:
        return {"told": [list(one) for one in self.told]}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.told = [list(one) for one in state["told"]]


class StopAt(Hook):
    """Interrupts a run at one of its safe points, those inside validations too.

    After the last batch of a validation that is no safe point: it ends first.

    Args:
        number: Which, from 0; ``None``: it only counts.
    """

    transient: ClassVar[frozenset[str]] = frozenset({"seen", "batches"})

    def __init__(self, number: int | None) -> None:
        self.number = number
        self.seen = 0
        self.batches = 0  # evaluated by this process

    def on_safe_point(self, runner: RunContext) -> None:
        self.pass_one(runner)

    def after_val_iter(self, runner: RunContext, batch_idx: int, *_: Any) -> None:
        self.batches += 1
        if batch_idx + 1 < runner.validator.length:
            self.pass_one(runner)

    def pass_one(self, runner: RunContext) -> None:
        if self.seen == self.number:
            runner.trainer.interrupt()
        self.seen += 1


def make(plan: RunPlan, work_dir: Path, stop: StopAt, **more: Any) -> Runner:
    """The run: schedules, accumulation, averages, validations, the best of them."""
    hooks = [
        Recorder(),
        Outputs(),
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
    more["val_dataloader"] = {
        "dataset": Samples(7, augment=True),
        "batch_size": 3,
        "shuffle": True,
        "collate_fn": "default_collate",
    }
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


def run(name: str, stops: tuple[int, ...]) -> tuple[Any, int, int]:
    """Train with stops, each followed by a resume by fresh objects.

    Returns:
        What the run came to, the safe points that the last part passed, and the
        batches that all parts together evaluated.
    """
    with TemporaryDirectory() as folder:
        more: dict[str, Any] = {}
        batches = 0
        for number in (*stops, None):
            # Safe points are counted anew in each part, from the stop on.
            stop = StopAt(number)
            runner = make(PLANS[name], Path(folder), stop, **more)
            runner.train()
            batches += stop.batches
            if runner.state.phase is Phase.FINISHED:
                break  # nothing was left to do at that point, or at any
            if number is not None:
                runner.save_checkpoint(folder, "cut.pth")
                more = {"load_from": Path(folder, "cut.pth"), "resume": "exact"}
        assert runner.state.phase is Phase.FINISHED
        return told(runner), stop.seen, batches


@cache
def whole(name: str) -> tuple[Any, int, int]:
    """The run that was never stopped."""
    return run(name, ())


@pytest.mark.parametrize("name", PLANS)
def test_stopped_at_each_safe_point(name: str) -> None:
    """It is the unbroken run, to the bit: weights, averages, hooks, files, metrics."""
    expected, points, batches = whole(name)
    assert points > len(expected["metrics"]) // 2
    # That of the iterations ends early too, but at its last validation but one.
    assert (expected["state"]["stop_reason"] is None) == (name == "validation by epoch")
    for number in range(points):
        found, _, evaluated = run(name, (number,))
        assert found == expected, f"stopped at safe point {number}"
        assert evaluated == batches, "a batch was evaluated twice, or not at all"


@pytest.mark.slow
@pytest.mark.parametrize("half", [0, 1])  # two processes share the work
@pytest.mark.parametrize("name", [name for name in PLANS if name != "ended early"])
def test_stopped_at_each_pair_of_safe_points(name: str, half: int) -> None:
    """Also twice in one epoch, and twice at one place."""
    expected, points, batches = whole(name)
    pairs = [*combinations(range(points), 2)][half::2]
    for first, second in pairs:
        found, _, evaluated = run(name, (first, second - first - 1))
        assert found == expected, f"stopped at safe points {first} and {second}"
        assert evaluated == batches, "a batch was evaluated twice, or not at all"
