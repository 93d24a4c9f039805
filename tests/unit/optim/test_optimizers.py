"""torch's optimizers by name."""

from __future__ import annotations

import pytest
import torch

from engine.errors import OptimizerError
from engine.optim import OptimWrapper, register_torch_optimizers
from engine.registry import OPTIMIZERS


def test_every_optimizer_of_torch_has_its_name() -> None:
    """What ``torch.optim`` offers is found under the name it has there."""
    for name in torch.optim.__all__:
        value = getattr(torch.optim, name)
        if isinstance(value, type) and value is not torch.optim.Optimizer:
            assert OPTIMIZERS.get(name) is value
    assert "Optimizer" not in OPTIMIZERS.module_dict


def test_registering_again_changes_nothing() -> None:
    """The import registered all; a second call adds none and raises nothing."""
    before = dict(OPTIMIZERS.module_dict)
    assert register_torch_optimizers() == []
    assert dict(OPTIMIZERS.module_dict) == before


def test_mmengines_name_of_adafactor_works() -> None:
    """A moved config that says TorchAdafactor gets torch's class."""
    assert OPTIMIZERS.get("TorchAdafactor") is torch.optim.Adafactor


def test_an_optimizer_is_built_by_name() -> None:
    """The registry makes one from a spec and the model's parameters."""
    parameters = [torch.nn.Parameter(torch.zeros(2))]
    optimizer = OPTIMIZERS.build({"type": "AdamW", "lr": 0.5}, params=parameters)
    assert type(optimizer) is torch.optim.AdamW
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_one_that_evaluates_the_model_says_what_it_needs() -> None:
    """And works where it is given that."""
    weight = torch.nn.Parameter(torch.ones(()))
    wrapper = OptimWrapper(OPTIMIZERS.build({"type": "LBFGS", "params": [weight]}))
    with pytest.raises(OptimizerError, match="LBFGS evaluates the model several times"):
        wrapper.update_params(weight**2)

    def closure() -> torch.Tensor:
        wrapper.zero_grad()
        loss = (weight - 3) ** 2
        loss.backward()  # type: ignore[no-untyped-call] # torch's
        return loss

    wrapper.update_params((weight - 3) ** 2, step_kwargs={"closure": closure})
    assert abs(weight.item() - 3) < 1e-3
