"""Averaged models: copies, buffers, counts, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from engine.errors import ConfigError, ModelError
from engine.model import (
    BaseAveragedModel,
    ExponentialMovingAverage,
    MomentumAnnealingEMA,
    StochasticWeightAverage,
)
from engine.registry import MODELS


def net() -> nn.Sequential:
    """A layer, and a norm with buffers of floats and of an int."""
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


def change(model: nn.Module) -> None:
    """Add one to all that the model holds."""
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            value.add_(1)


def test_the_first_update_copies() -> None:
    """What the model had when the average was made does not count."""
    model = net()
    average = ExponentialMovingAverage(model)
    change(model)
    average.update_parameters(model)
    for ours, theirs in zip(
        average.module.parameters(), model.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_the_copy_is_apart_and_wants_no_gradients() -> None:
    """Training the model moves nothing in the average between updates."""
    model = net()
    average = StochasticWeightAverage(model)
    before = [each.clone() for each in average.parameters()]
    change(model)
    assert all(map(torch.equal, before, average.parameters()))
    assert not any(each.requires_grad for each in average.parameters())
    assert all(each.requires_grad for each in model.parameters())


def test_buffers_are_copied_in_each_update() -> None:
    """Between moves too, so that norms have the model's present statistics."""
    model = net()
    average = StochasticWeightAverage(model, interval=3)
    for _ in range(2):
        change(model)
        average.update_parameters(model)
        assert all(map(torch.equal, average.module.buffers(), model.buffers()))


def test_buffers_are_averaged_if_asked() -> None:
    """Those of floats move like weights, and others are copied."""
    model = net()
    average = StochasticWeightAverage(model, update_buffers=True)
    for _ in range(3):
        change(model)
        average.update_parameters(model)
    assert average.module.get_buffer("1.running_mean").tolist() == [2.0, 2.0]
    assert average.module.get_buffer("1.num_batches_tracked").item() == 3


def test_a_call_is_the_averaged_models() -> None:
    """``forward`` runs the copy."""
    model = net().eval()
    average = StochasticWeightAverage(model)
    inputs = torch.rand(3, 2)
    expected = model(inputs).detach()
    change(model)
    assert torch.equal(average(inputs), expected)


def test_the_state_has_the_count_and_the_models_names() -> None:
    """As MMEngine saves it: ``steps`` and ``module.*``."""
    average = StochasticWeightAverage(nn.Linear(1, 1))
    average.update_parameters(nn.Linear(1, 1))
    state = average.state_dict()
    assert list(state) == ["steps", "module.weight", "module.bias"]
    assert state["steps"].item() == 1


def test_the_count_stays_on_the_host() -> None:
    """Wherever the copy is, reading the count waits for no device."""
    average = ExponentialMovingAverage(nn.Linear(1, 1), device="meta")
    assert average.module.get_parameter("weight").is_meta
    assert average.to("meta").steps.device == torch.device("cpu")


def test_an_average_on_another_device_gets_the_models_values() -> None:
    """Values are moved to the average's device before they count."""
    seen: list[torch.device] = []

    class Spy(BaseAveragedModel):
        def avg_func(
            self, averaged_param: Tensor, source_param: Tensor, steps: int
        ) -> None:
            seen.append(source_param.device)

    model = nn.Linear(1, 1)
    average = Spy(model, device="meta")
    for _ in range(2):
        average.update_parameters(model)
    assert set(seen) == {torch.device("meta")}


def test_they_are_built_by_name() -> None:
    """A hook's spec names them."""
    for kind in (
        StochasticWeightAverage,
        ExponentialMovingAverage,
        MomentumAnnealingEMA,
    ):
        built = MODELS.build({"type": kind.__name__}, model=nn.Linear(1, 1))
        assert type(built) is kind


def test_settings_out_of_range_are_refused() -> None:
    """Each message says what is allowed."""
    model = nn.Linear(1, 1)
    with pytest.raises(ConfigError, match="interval is 0"):
        StochasticWeightAverage(model, interval=0)
    for momentum in (0.0, 1.0):
        with pytest.raises(ConfigError, match=f"momentum is {momentum}"):
            ExponentialMovingAverage(model, momentum=momentum)
    with pytest.raises(ConfigError, match="gamma is 0"):
        MomentumAnnealingEMA(model, gamma=0)


def test_a_large_momentum_is_warned_of() -> None:
    """It is most likely a decay, and the message has the momentum to set."""
    with pytest.warns(UserWarning, match=r"for a decay of 0.999 set momentum=0.001"):
        ExponentialMovingAverage(nn.Linear(1, 1), momentum=0.999)


def test_another_model_is_refused() -> None:
    """Of another form, or wrapped since."""
    average = StochasticWeightAverage(nn.Linear(1, 1))
    with pytest.raises(ModelError, match="ReLU has no 'weight'"):
        average.update_parameters(nn.ReLU())
    with pytest.raises(ModelError, match="Its shape is another one"):
        average.update_parameters(nn.Linear(2, 1))
    with pytest.raises(ModelError, match="pass the model in it, model"):
        average.update_parameters(nn.DataParallel(nn.Linear(1, 1)))
