"""Two optimizers of one run: their steps are told, and a resume loses no gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from engine import CheckpointHook, Hook, Runner
from engine.model import BaseModel
from engine.optim import OptimWrapper, OptimWrapperDict
from tests.runs import Samples, bits

if TYPE_CHECKING:
    from pathlib import Path

ITERATIONS = 6


class Rivals(BaseModel):
    """One makes points, the other judges them, twice as often."""

    def __init__(self) -> None:
        super().__init__()
        self.maker = nn.Linear(6, 6)
        self.judge = nn.Linear(6, 1)

    def forward(self, *_: Any, **__: Any) -> None:
        """Not used: the step is written out."""

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Any]:
        points = data[1].flatten(1)
        maker, judge = optim_wrapper["maker"], optim_wrapper["judge"]
        for power in (1, 2):
            loss = self.judge(points).pow(power).mean()
            judge.update_params(loss)
        # It leaves gradients in the judge, which the judge's next backward adds to.
        fooled = -self.judge(self.maker(points)).mean()
        maker.update_params(fooled)
        return {"loss": loss.detach(), "fooled": fooled.detach()}


class Steps(Hook):
    """Writes down what happens, in order."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def before_optimizer_step(self, runner: Any) -> None:
        self.seen.append(f"before {runner.state.optimizer_steps}")

    def after_optimizer_step(self, runner: Any) -> None:
        self.seen.append(f"after {runner.state.optimizer_steps}")

    def after_train_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        self.seen.append(f"iteration {runner.iter}")


def rivals(work_dir: Path, *hooks: Hook, **changes: Any) -> Runner:
    """A run of them that saves after each iteration."""
    torch.manual_seed(0)
    model = Rivals()
    return Runner(
        model,
        work_dir,
        train_dataloader={
            "dataset": Samples(9),
            "batch_size": 3,
            "shuffle": True,
            "collate_fn": "default_collate",
        },
        train_cfg={"max_epochs": 2},
        optim_wrapper=OptimWrapperDict(
            maker=OptimWrapper(
                torch.optim.Adam(model.maker.parameters(), lr=0.1),
                accumulative_counts=2,
            ),
            judge=OptimWrapper(torch.optim.SGD(model.judge.parameters(), lr=0.1)),
        ),
        param_scheduler={"maker": {"type": "LinearLR", "end": 5, "by_epoch": False}},
        default_hooks={"checkpoint": None, "logger": None},
        custom_hooks=[CheckpointHook(interval=1, by_epoch=False), *hooks],
        visualizer={"vis_backends": []},
        randomness={"seed": 3},
        log_level="ERROR",
        **changes,
    )


def test_each_step_of_each_is_an_event_and_is_counted(tmp_path: Path) -> None:
    """The judge steps twice an iteration, the maker once in two."""
    steps = Steps()
    runner = rivals(tmp_path, steps)
    runner.train()
    assert runner.state.optimizer_steps == 2 * ITERATIONS + ITERATIONS // 2
    assert steps.seen[:11] == [
        *("before 0", "after 1", "before 1", "after 2", "iteration 0"),
        *("before 2", "after 3", "before 3", "after 4", "before 4", "after 5"),
    ]


@pytest.mark.parametrize("iteration", range(1, ITERATIONS))
def test_a_resume_keeps_gradients_that_another_loss_left(
    iteration: int, tmp_path: Path
) -> None:
    """At each iteration: in a window of one, and at the edges of both."""

    def state(runner: Runner) -> Any:
        wrapper = runner.optim_wrapper
        steps = runner.state.optimizer_steps
        return bits([runner.model.state_dict(), wrapper.state_dict(), steps])

    whole = rivals(tmp_path / "whole")
    whole.train()
    file = tmp_path / "whole" / f"iter_{iteration}.pth"
    rest = rivals(tmp_path / "rest", load_from=file, resume=True)
    rest.train()
    assert state(rest) == state(whole)
