"""Runs on several ranks, stopped at each safe point and resumed: bit-equal."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from engine import Phase
from engine.dist import on_main
from engine.state import capture_randomness
from tests.integration.test_every_stop import StopAt, make
from tests.ranks import run_ranks
from tests.runs import RunPlan, bits, recorder

if TYPE_CHECKING:
    from engine import Runner

pytestmark = pytest.mark.distributed

PLANS = {
    "validation by epoch": RunPlan(
        size=18, max_epochs=2, accumulate=2, watched=True, sampler="default"
    ),
    "validation by iteration": RunPlan(
        size=13,
        max_epochs=None,
        max_iters=5,
        accumulate=3,
        watched=True,
        val_interval=2,
        sampler="infinite",
    ),
}
# Several buckets, so that three ranks add in an order that the layout decides.
SMALL_BUCKETS = {"type": "MMDistributedDataParallel", "bucket_cap_mb": 1e-4}


def told(runner: Runner) -> dict[str, Any]:
    """What this rank's run came to; weights, averages, losses, samples, generators."""
    state = runner.state.state_dict()
    del state["elapsed_seconds"]
    return {
        "state": state,
        **bits(
            {
                "events": recorder(runner).events,
                "model": runner.model.state_dict(),
                "optimizer": runner.optim_wrapper.state_dict(),
                "hooks": runner.hook_set.state_dict(),
                "generators": capture_randomness(),
            }
        ),
    }


def run(name: str, stop: int | None, cfg: dict[str, Any]) -> tuple[Any, int]:
    """On a rank: train, stopped once or not at all; what came of it."""
    folder = Path(on_main(tempfile.mkdtemp))
    more: dict[str, Any] = {"cfg": {"model_wrapper_cfg": SMALL_BUCKETS, **cfg}}
    hook = StopAt(stop)
    runner = make(PLANS[name], folder, hook, **more)
    runner.train()
    if runner.state.phase is not Phase.FINISHED:
        runner.save_checkpoint(folder, "cut.pth")
        more |= {"load_from": folder / "cut.pth", "resume": "exact"}
        runner = make(PLANS[name], folder, StopAt(None), **more)
        runner.train()
    found = told(runner)
    on_main(lambda: shutil.rmtree(folder))
    return found, hook.seen


def stops(name: str) -> list[int]:
    """On a rank: the stops after which the resumed run was another one."""
    torch.set_num_threads(1)
    whole, points = run(name, None, {})
    wrong = [number for number in range(points) if run(name, number, {})[0] != whole]
    return [points, *wrong]


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("name", PLANS)
def test_ranks_stopped_at_each_safe_point(name: str, world: int) -> None:
    """Each rank's run is the unbroken one's, to the bit."""
    for points, *wrong in run_ranks(stops, world, name):
        assert points > 5
        assert not wrong
