"""torch's optimizers by name."""

from __future__ import annotations

import torch

from engine.optim import register_torch_optimizers
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
