"""Mixed precision on this device."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from engine import runner
from engine.errors import OptimizerError
from engine.optim import AmpOptimWrapper, autocast

if TYPE_CHECKING:
    from collections.abc import Iterator


def make(model: nn.Module, **settings: Any) -> AmpOptimWrapper:
    """Around SGD."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return AmpOptimWrapper(optimizer=optimizer, dtype="bfloat16", **settings)


def test_forward_runs_in_the_dtype_and_weights_stay_float32() -> None:
    """Gradients are float32 as well."""
    model = nn.Linear(2, 1)
    wrapper = make(model, clip_grad={"max_norm": 0.5})
    with wrapper.optim_context(model):
        outputs = model(torch.ones(1, 2))
        assert outputs.dtype is torch.bfloat16
        wrapper.backward(outputs.float().sum())
    assert model.weight.dtype is torch.float32
    before = model.weight.detach().clone()
    wrapper.step()
    moved = before - model.weight.detach()
    # A gradient of three ones, clipped to a norm of one half.
    assert torch.allclose(moved, torch.full((1, 2), 0.1 * 0.5 / 3**0.5), atol=1e-6)
    with torch.no_grad():
        assert model(torch.ones(1, 2)).dtype is torch.float32
    assert wrapper.inner_count == 1


class Syncing(nn.Linear):
    """Has ``no_sync`` as DDP has, and counts how often it is entered."""

    entered = 0

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        self.entered += 1
        yield


def test_inside_a_window_it_autocasts_without_syncing() -> None:
    """Ranks agree in the last iteration only; every one runs in the dtype."""
    model = Syncing(2, 1)
    wrapper = make(model, accumulative_counts=3)
    entered = []
    for _ in range(3):
        with wrapper.optim_context(model):
            outputs = model(torch.ones(1, 2))
        assert outputs.dtype is torch.bfloat16
        wrapper.update_params(outputs.float().sum())
        entered.append(model.entered)
    assert entered == [1, 2, 2]


def test_the_scalers_state_is_saved_with_the_optimizers() -> None:
    """Under MMEngine's key; a state without it loads too."""
    model = nn.Linear(2, 1)
    wrapper = make(model)
    state = wrapper.state_dict()
    assert "loss_scaler" in state
    make(model).load_state_dict(state)
    del state["loss_scaler"]
    make(model).load_state_dict(state)


def test_a_scaled_loss_gives_the_unscaled_update() -> None:
    """By a scaler that is switched on, as on CUDA; what overflows is left out."""
    models = [nn.Linear(2, 1) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    plain, scaled = (make(model) for model in models)
    scaled.loss_scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for model, wrapper in zip(models, (plain, scaled), strict=True):
        wrapper.update_params(model(torch.ones(1, 2)).sum())
    assert torch.equal(models[0].weight, models[1].weight)
    before = models[1].weight.detach().clone()
    scaled.update_params(models[1](torch.full((1, 2), float("inf"))).sum())
    assert torch.equal(models[1].weight, before)
    assert scaled.loss_scaler.get_scale() == 512.0
    again = make(models[1])
    again.loss_scaler = torch.amp.GradScaler("cpu")
    again.load_state_dict(scaled.state_dict())
    assert again.loss_scaler.get_scale() == 512.0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dtype": "float8"}, "dtype is 'float8', allowed: .*'bfloat16'"),
        ({"dtype": "float16"}, "float16, which this CPU .* Use bfloat16 here"),
        ({"loss_scale": "static"}, "loss_scale is 'static' .*'dynamic', a number"),
        ({"loss_scale": -1.0}, "loss_scale is -1.0"),
        ({"loss_scale": {"init": 2}}, "loss_scale is {'init': 2}: .*'init'"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="float16 is allowed on CUDA")
def test_bad_settings(settings: dict[str, Any], said: str) -> None:
    """Each is named."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters())
    with pytest.raises(OptimizerError, match=said):
        AmpOptimWrapper(optimizer=optimizer, **settings)


def test_autocast_takes_what_fits_the_device() -> None:
    """Under MMEngine's name, in ``engine.runner`` too."""
    assert runner.autocast is autocast
    layer, ones = nn.Linear(2, 1), torch.ones(1, 2)
    with autocast():
        assert layer(ones).dtype in (torch.bfloat16, torch.float16)
    with autocast(enabled=False):
        assert layer(ones).dtype is torch.float32
    with pytest.raises(OptimizerError, match="autocast: dtype is float16"):
        autocast("cpu", torch.float16)
