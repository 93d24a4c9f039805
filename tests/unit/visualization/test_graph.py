"""A model looked at from outside, without a trace left in it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine import BaseModel, StepModel
from engine.errors import ModelError
from engine.state import capture_randomness
from engine.visualization.graph import traceable, untouched
from tests.runs import bits


class Counts(nn.Module):
    """Changes a buffer at each call, in any mode."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.drop = nn.Dropout(0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        return torch.as_tensor(self.drop(inputs)) * torch.rand(())


def test_a_model_is_as_before() -> None:
    """Its parts' modes, buffers, gradients' mode and the generators."""
    model = nn.Sequential(Counts(), nn.BatchNorm1d(2))
    model.train()
    model[1].eval()  # a frozen one
    before = bits({"state": model.state_dict(), "random": capture_randomness()})
    with untouched(model):
        assert not model[0].drop.training  # type: ignore[union-attr]  # a module
        assert not model(torch.ones(2, 2)).requires_grad
    after = bits({"state": model.state_dict(), "random": capture_randomness()})
    assert after == before
    assert [one.training for one in model.modules()] == [True, True, True, False]


def test_a_model_is_as_before_after_an_error() -> None:
    """The error reaches the caller."""
    model = nn.Dropout()
    with pytest.raises(RuntimeError, match="boom"), untouched(model):
        raise RuntimeError("boom")
    assert model.training


class Two(BaseModel):
    """Takes a pair of inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(
        self, inputs: Any, data_samples: Any = None, mode: str = "tensor"
    ) -> Any:
        assert mode == "tensor"
        return self.layer(inputs["a"] + inputs["b"][0])


BATCH = {"inputs": {"a": torch.ones(1, 2), "b": [torch.ones(1, 2)]}}


@pytest.mark.filterwarnings("ignore:`torch.jit.trace")
@pytest.mark.parametrize(
    ("model", "batch", "tensors"),
    [
        (Two(), {**BATCH, "data_samples": ["cat"]}, 2),
        (
            StepModel(nn.Linear(2, 1), nn.functional.mse_loss),
            [torch.ones(1, 2), torch.ones(1)],
            1,
        ),
        (nn.Linear(2, 1), torch.ones(1, 2), 1),
    ],
    ids=["ours", "step model", "plain"],
)
def test_models_are_traced_with_the_tensors_of_a_batch(
    model: nn.Module, batch: Any, tensors: int
) -> None:
    """Those of their inputs; they then compute what the model does."""
    with untouched(model):
        module, found = traceable(model, batch)
        assert len(found) == tensors
        traced = torch.jit.trace(module, found)  # type: ignore[no-untyped-call]  # torch leaves it out
        assert torch.equal(traced(*found), module(*found))


def test_a_batch_without_tensors_is_refused() -> None:
    """The model's name and what to give are told."""
    with pytest.raises(ModelError, match=r"no tensor that Linear takes.*as the loader"):
        traceable(nn.Linear(1, 1), ["text"])
