"""A wrapper of the user's own, from what every wrapper has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from engine.errors import OptimizerError
from engine.hooks import CheckpointHook
from engine.optim import BaseOptimWrapper, build_optim_wrapper
from tests.runs import Recorder, RunPlan, bits, train

if TYPE_CHECKING:
    from pathlib import Path

PLAN = RunPlan(max_epochs=2, val_interval=None)


class EverySecond(BaseOptimWrapper):
    """Steps in every second iteration, and counts nothing that a resume would need."""

    def update_params(self, *args: Any, **kwargs: Any) -> None:
        (loss,) = args
        self.backward(loss)
        state = self.optimizer.param_groups[0]
        state["odd"] = not state.get("odd", False)
        if not state["odd"]:
            self.step()
            self.zero_grad()

    def backward(self, loss: Any, **kwargs: Any) -> None:
        loss.backward(**kwargs)

    def step(self, **kwargs: Any) -> None:
        self.optimizer.step(**kwargs)

    def zero_grad(self, **kwargs: Any) -> None:
        self.optimizer.zero_grad(**kwargs)

    def optim_context(self, _: Any) -> Any:
        return torch.enable_grad()


def run(work_dir: Path, resume_from: Path | None = None) -> Any:
    """Train with it, and a schedule; what came of it."""
    runner = train(
        PLAN,
        work_dir,
        resume_from=resume_from,
        optim_wrapper={
            "type": EverySecond,
            "optimizer": {"type": "Adam", "lr": 0.05},
            "paramwise_cfg": {"bias_lr_mult": 2.0},
        },
        param_scheduler={"type": "CosineAnnealingLR", "by_epoch": False},
        custom_hooks=[Recorder(), CheckpointHook(interval=1, by_epoch=False)],
    )
    wrapper = runner.optim_wrapper
    assert isinstance(wrapper, EverySecond)
    assert wrapper.get_lr()["base_lr"][0] == wrapper.get_lr()["lr"][0]
    return bits(
        [
            runner.model.state_dict(),
            wrapper.state_dict(),
            runner.state.optimizer_steps,
        ]
    )


def test_it_trains_and_resumes_exactly(tmp_path: Path) -> None:
    """From a checkpoint between its steps too: the gradients come back."""
    whole = run(tmp_path / "whole")
    assert whole[2] == PLAN.iterations // 2
    for iteration in (1, 2, 3):
        file = tmp_path / "whole" / f"iter_{iteration}.pth"
        assert run(tmp_path / str(iteration), file) == whole


def test_it_is_one_where_a_wrapper_is_asked_for() -> None:
    """And is itself asked for an optimizer."""
    model = torch.nn.Linear(1, 1)
    own = EverySecond(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    assert build_optim_wrapper(model, own) is own
    assert own.get_momentum() == {"momentum": [0.9]}
    with pytest.raises(OptimizerError, match="EverySecond: optimizer is a Linear"):
        EverySecond(model)  # type: ignore[arg-type] # what is tested
