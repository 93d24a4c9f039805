"""Model, log processor and visualizer from their specs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from engine.build import build_log_processor, build_model, build_visualizer
from engine.errors import ConfigError
from engine.loops import LogProcessor
from engine.model import StepModel
from engine.visualization import LocalVisBackend, Visualizer

if TYPE_CHECKING:
    from pathlib import Path


def test_a_model_is_a_module_or_a_spec() -> None:
    """A dotted path too; the module inside of a spec as well."""
    net = nn.Linear(1, 1)
    assert build_model(net) is net
    built = build_model(
        {"type": "torch.nn.Linear", "in_features": 2, "out_features": 3}
    )
    assert isinstance(built, nn.Linear)
    spec = {
        "type": "StepModel",
        "module": {"type": nn.Linear, "in_features": 2, "out_features": 3},
        "loss": nn.functional.mse_loss,
    }
    torch.manual_seed(0)
    nested = build_model(spec)
    assert isinstance(nested, StepModel)
    torch.manual_seed(0)
    weight = nested.state_dict()["weight"]
    assert torch.equal(weight, nn.Linear(2, 3).weight)
    assert isinstance(spec["module"], dict)


def test_the_loss_of_a_step_model_may_be_a_spec() -> None:
    """So a YAML file can name it."""
    module = {"type": "torch.nn.Linear", "in_features": 2, "out_features": 3}
    loss = {"type": "torch.nn.L1Loss"}
    built = build_model({"type": "StepModel", "module": module, "loss": loss})
    assert isinstance(built, StepModel)
    assert isinstance(built.loss, nn.L1Loss)


def test_what_a_users_model_does_with_its_specs_is_its_own() -> None:
    """A mapping that it calls ``module`` reaches it as it is."""

    class Own(nn.Module):
        def __init__(self, module: dict[str, int]) -> None:
            super().__init__()
            self.given = module

    built = build_model({"type": Own, "module": {"width": 3}})
    assert isinstance(built, Own)
    assert built.given == {"width": 3}


def test_what_is_no_model_is_refused() -> None:
    """By its type."""
    with pytest.raises(ConfigError, match=r"expected a torch.nn.Module.*found a type"):
        build_model(nn.Linear)


def test_a_log_processor_counts_as_the_run_does() -> None:
    """Unless it is given."""
    assert not build_log_processor(None, by_epoch=False).by_epoch
    assert build_log_processor({"window_size": 3}, by_epoch=True).window_size == 3
    own = LogProcessor()
    assert build_log_processor(own, by_epoch=False) is own


def test_a_visualizer_writes_into_the_log_folder(tmp_path: Path) -> None:
    """Locally without a spec; nowhere with an empty list; a given one stays."""
    default = build_visualizer(None, save_dir=tmp_path)
    assert isinstance(default, Visualizer)
    default.add_scalar("loss", 1.0, 1)
    default.close()
    assert (tmp_path / "vis_data" / "scalars.json").is_file()
    nowhere = build_visualizer({"vis_backends": []}, save_dir=tmp_path / "x")
    nowhere.add_scalar("loss", 1.0, 1)
    assert not (tmp_path / "x").exists()
    own = build_visualizer(
        {"vis_backends": LocalVisBackend(tmp_path / "own")}, save_dir=tmp_path
    )
    assert build_visualizer(own, save_dir=tmp_path) is own
