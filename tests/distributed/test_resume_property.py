"""Random runs on several ranks, stopped at random and resumed: bit-equal."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from engine import Phase
from engine.dist import on_main
from engine.state import capture_randomness
from tests.integration.test_every_stop import StopAt
from tests.ranks import run_ranks
from tests.runs import Recorder, RunPlan, bits, make_runner, recorder

if TYPE_CHECKING:
    from engine import Runner

pytestmark = pytest.mark.distributed

STRATEGIES: dict[str, Any] = {
    "ddp": {"type": "DDPStrategy", "bucket_cap_mb": 1e-4},
    "fsdp2": {"type": "FSDP2Strategy"},
}


def draw(chance: random.Random) -> RunPlan:
    """A plan of some iterations."""
    by_iters = chance.random() < 0.5
    size = chance.randint(9, 24)
    return RunPlan(
        max_epochs=None if by_iters else chance.randint(1, 3),
        max_iters=chance.randint(3, 7) if by_iters else None,
        size=size,
        batch_size=chance.randint(2, 3),
        drop_last=chance.random() < 0.5,
        sampler=chance.choice(["default", "none", "run"] + ["infinite"] * by_iters),
        workers=chance.choice([0, 0, 0, 1]),
        val_interval=chance.choice([None, 1, 2]),
        seed=chance.randint(0, 99),
        schedule=chance.choice(["none", "epoch", "iteration"]),
        accumulate=chance.randint(1, 3),
    )


def told(runner: Runner) -> Any:
    """What this rank's run came to."""
    state = runner.state.state_dict()
    del state["elapsed_seconds"]
    whole = runner.strategy.full_state(
        {
            "model": runner.model.state_dict(),
            "optimizer": runner.optim_wrapper.state_dict(),
        }
    )
    events = recorder(runner).events
    return [state, bits([whole, events, capture_randomness()])]


def run(plan: RunPlan, strategy: Any, stops: tuple[int, ...]) -> tuple[Any, int]:
    """On a rank: train with stops, each followed by a resume by fresh objects.

    Returns:
        What it came to, and how often it was resumed.
    """
    resumes = 0
    folder = Path(on_main(tempfile.mkdtemp))
    more: dict[str, Any] = {"cfg": {"strategy": strategy}}
    for stop in (*stops, None):
        runner = make_runner(
            plan, folder, custom_hooks=[Recorder(), StopAt(stop)], **more
        )
        runner.train()
        if runner.state.phase is Phase.FINISHED:
            break
        runner.save_checkpoint(folder, f"cut_{runner.iter}.pth")
        resumes += 1
        cut = folder / f"cut_{runner.iter}.pth"
        more |= {"load_from": cut, "resume": "exact"}
    found = told(runner)
    on_main(lambda: shutil.rmtree(folder))
    return found, resumes


def differing(strategy: str, seed: int, count: int) -> tuple[int, list[Any]]:
    """On a rank: how many resumes there were; plans whose run was another one then."""
    torch.set_num_threads(1)
    chance = random.Random(seed)
    wrong: list[Any] = []
    resumes = 0
    for _ in range(count):
        plan = draw(chance)
        stops = tuple(chance.randint(0, 4) for _ in range(chance.randint(1, 2)))
        whole, _ = run(plan, STRATEGIES[strategy], ())
        found, count_now = run(plan, STRATEGIES[strategy], stops)
        resumes += count_now
        if found != whole:
            wrong.append((plan, stops))
    return resumes, wrong


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_random_runs_resume_bit_equal(strategy: str, world: int) -> None:
    """Whatever the data, the window, the schedule, and how often it was stopped."""
    for resumes, wrong in run_ranks(differing, world, strategy, world, 3):
        assert resumes >= 2
        assert not wrong
