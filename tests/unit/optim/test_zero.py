"""Optimizer state spread over ranks; here: one rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import distributed

from engine.errors import OptimizerError
from engine.registry import OPTIMIZERS

if TYPE_CHECKING:
    from pathlib import Path

SPEC = {"type": "ZeroRedundancyOptimizer", "optimizer_type": "Adam", "lr": 0.1}


def test_it_steps_as_the_optimizer_that_it_spreads(tmp_path: Path) -> None:
    """And its state is that one's."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1
    )
    try:
        parameters = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
        spread = OPTIMIZERS.build(SPEC, params=parameters[:1])
        plain = torch.optim.Adam(parameters[1:], lr=0.1)
        for optimizer, parameter in zip((spread, plain), parameters, strict=True):
            parameter.grad = torch.tensor([1.0, 2.0, 3.0])
            optimizer.step()
        assert torch.equal(*parameters)
        saved, wanted = spread.state_dict()["state"][0], plain.state_dict()["state"][0]
        assert torch.equal(saved["exp_avg"], wanted["exp_avg"])
    finally:
        distributed.destroy_process_group()


def test_it_needs_ranks_and_an_optimizer() -> None:
    """Each is told."""
    parameter = torch.nn.Parameter(torch.ones(3))
    with pytest.raises(OptimizerError, match=r"no process group. In one process use"):
        OPTIMIZERS.build(SPEC, params=[parameter])
    with pytest.raises(OptimizerError, match=r"has no 'Adma'. Did you mean 'Ada"):
        OPTIMIZERS.build({**SPEC, "optimizer_type": "Adma"}, params=[parameter])
