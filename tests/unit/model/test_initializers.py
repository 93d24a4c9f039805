"""Initialisers: which layers they choose, and what values they give."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from engine.errors import (
    CheckpointDamagedError,
    CheckpointNotFoundError,
    ConfigError,
    ModelError,
)
from engine.model import (
    BaseInit,
    Caffe2XavierInit,
    ConstantInit,
    KaimingInit,
    NormalInit,
    PretrainedInit,
    TruncNormalInit,
    UniformInit,
    XavierInit,
    bias_init_with_prob,
    caffe2_xavier_init,
    constant_init,
    initialize,
    trunc_normal_init,
    xavier_init,
)
from engine.registry import WEIGHT_INITIALIZERS

if TYPE_CHECKING:
    from pathlib import Path


def net() -> nn.Sequential:
    """A convolution, a norm and a linear layer."""
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(16, 32))


def values(model: nn.Module, *names: str) -> set[float]:
    """The values that occur in these parameters."""
    found: set[float] = set()
    for name in names:
        found.update(model.get_parameter(name).flatten().tolist())
    return found


def drawn(initializer: BaseInit, layer: nn.Module) -> torch.Tensor:
    """The layer's weight as the initialiser draws it from seed 0."""
    torch.manual_seed(0)
    initializer.wholemodule = True
    initializer(layer)
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach()


@pytest.mark.parametrize(
    ("initializer", "torchs"),
    [
        (NormalInit(0.5, 2), lambda w: nn.init.normal_(w, 0.5, 2)),
        (UniformInit(-1, 3), lambda w: nn.init.uniform_(w, -1, 3)),
        (XavierInit(2), lambda w: nn.init.xavier_normal_(w, 2)),
        (XavierInit(2, "uniform"), lambda w: nn.init.xavier_uniform_(w, 2)),
        (
            KaimingInit(),
            lambda w: nn.init.kaiming_normal_(w, 0, "fan_out", "relu"),
        ),
        (
            KaimingInit(0.1, "fan_in", "leaky_relu", "uniform"),
            lambda w: nn.init.kaiming_uniform_(w, 0.1, "fan_in", "leaky_relu"),
        ),
    ],
)
def test_values_are_those_of_torchs_functions(
    initializer: BaseInit, torchs: Any
) -> None:
    """From one seed of the global generator both draw the same."""
    ours = drawn(initializer, nn.Conv2d(3, 8, 3))
    torch.manual_seed(0)
    assert torch.equal(ours, torchs(torch.empty(8, 3, 3, 3)))


def test_caffe2s_draws_have_its_range() -> None:
    """XavierFill is uniform between plus and minus sqrt(3 / fan-in)."""
    layer = nn.Linear(12, 4000)
    weight = drawn(Caffe2XavierInit(), layer).clone()
    torch.manual_seed(0)
    caffe2_xavier_init(layer)
    assert torch.equal(layer.weight, weight)
    bound = math.sqrt(3 / 12)
    assert weight.abs().max().item() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_only_named_layers_are_set() -> None:
    """A name means the class, and classes that derive from it directly."""

    class Wide(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(1, 1), Wide(1, 1), nn.Conv2d(1, 1, 1))
    before = values(model, "2.weight", "2.bias")
    initialize(model, {"type": "Constant", "val": 2, "bias": 3, "layer": "Linear"})
    assert values(model, "0.weight", "1.weight") == {2}
    assert values(model, "0.bias", "1.bias") == {3}
    assert values(model, "2.weight", "2.bias") == before


def test_specs_of_a_list_apply_one_after_the_other() -> None:
    """A later spec wins where two mean the same layer."""
    model = net()
    initialize(
        model,
        [
            {"type": "Constant", "val": 1, "layer": ["Conv2d", "Linear"]},
            {"type": "Constant", "val": 2, "layer": "Linear"},
        ],
    )
    assert values(model, "0.weight") == {1}
    assert values(model, "2.weight") == {2}


def test_an_override_with_a_type_of_its_own_sets_the_whole_part() -> None:
    """All layers of the named part begin so, whatever ``layer`` says."""
    model = nn.ModuleDict({"body": net(), "head": net()})
    own = {"type": "Constant", "val": 4, "bias": 5, "name": "head"}
    initialize(
        model, {"type": "Constant", "val": 1, "layer": "Conv2d", "override": own}
    )
    head = [name for name, _ in model.named_parameters() if name.startswith("head")]
    assert len(head) == 6
    assert values(model, *head) == {4, 5}
    assert values(model, "body.0.weight") == {1}


def test_an_override_of_a_name_alone_takes_the_spec_beside_it() -> None:
    """Several parts, also deeper ones, are set by the same initialiser."""
    model = nn.ModuleDict({"body": net(), "head": net()})
    before = values(model, "body.0.weight")
    override = [{"name": "head.2"}, {"name": "body.2"}]
    initialize(model, {"type": "Constant", "val": 6, "override": override})
    assert values(model, "head.2.weight", "body.2.weight") == {6}
    assert values(model, "body.0.weight") == before


def test_a_bias_may_be_given_as_a_probability() -> None:
    """Behind a sigmoid the bias gives the probability back."""
    layer = nn.Linear(1, 1)
    initialize(
        layer, {"type": "Normal", "std": 0.01, "bias_prob": 0.02, "layer": "Linear"}
    )
    assert layer.bias.sigmoid().item() == pytest.approx(0.02)
    assert bias_init_with_prob(0.5) == 0


def test_a_layer_without_bias_or_weight_is_no_error() -> None:
    """What is not there is left out."""
    layer = nn.Linear(2, 2, bias=False)
    constant_init(layer, 3)
    constant_init(nn.BatchNorm1d(2, affine=False), 3)
    constant_init(nn.ReLU(), 3)
    assert values(layer, "weight") == {3}


def test_every_initialiser_is_registered_under_its_short_name() -> None:
    """Specs name them as MMEngine's do."""
    known = {
        "Constant": ConstantInit,
        "Xavier": XavierInit,
        "Normal": NormalInit,
        "TruncNormal": TruncNormalInit,
        "Uniform": UniformInit,
        "Kaiming": KaimingInit,
        "Caffe2Xavier": Caffe2XavierInit,
        "Pretrained": PretrainedInit,
    }
    assert {name: WEIGHT_INITIALIZERS.get(name) for name in known} == known


def test_a_users_initialiser_is_built_like_ours() -> None:
    """A class that overrides ``init_layer`` works in a spec."""

    class Eye(BaseInit):
        def init_layer(self, layer: nn.Module) -> None:
            if isinstance(layer, nn.Linear):
                nn.init.eye_(layer.weight)

    model = nn.Linear(2, 2)
    initialize(model, {"type": Eye, "layer": "Linear"})
    assert torch.equal(model.weight, torch.eye(2))


def test_the_truncated_normal_is_one() -> None:
    """One uniform draw a weight, through the inverse of the distribution function.

    MMEngine's draws, to the bit (tests/oracle); torch's function draws otherwise.
    """
    layer = nn.Linear(100, 50)
    torch.manual_seed(0)
    trunc_normal_init(layer, mean=0.1, std=0.7, a=-1, b=0.5, bias=3)
    torch.manual_seed(0)
    drawn = torch.rand(50, 100).double()
    normal: Any = torch.distributions.Normal(
        0.1, torch.tensor(0.7, dtype=torch.float64)
    )
    low, high = normal.cdf(torch.tensor(-1.0)), normal.cdf(torch.tensor(0.5))
    expected = normal.icdf(low + drawn * (high - low))
    torch.testing.assert_close(layer.weight.double(), expected, rtol=0, atol=1e-5)
    assert -1 <= layer.weight.min() < layer.weight.max() <= 0.5
    assert layer.bias.eq(3).all()


@pytest.mark.parametrize("settings", [{"std": 0}, {"a": 1, "b": 1}])
def test_a_truncated_normal_needs_a_width(settings: dict[str, float]) -> None:
    """Neither all of it nor none of it can be cut away."""
    with pytest.raises(ConfigError, match="std is above 0 and values lie between"):
        trunc_normal_init(nn.Linear(2, 2), **settings)


@pytest.mark.parametrize(
    ("spec", "error", "text"),
    [
        ({"val": 1}, ConfigError, "needs 'type'"),
        ({"type": "Constant", "layer": "Linear"}, ConfigError, "needs 'val'"),
        ([1], ConfigError, "initialize: init_cfg has 1"),
        ({"type": "Constant", "val": 1, "layer": 3}, ConfigError, "layer is 3"),
        (
            {"type": "Constant", "val": 1, "layer": "Linear", "bias": "a"},
            ConfigError,
            "bias is 'a'",
        ),
        (
            {"type": "Constant", "val": 1, "layer": "Linear", "bias_prob": 1},
            ConfigError,
            "bias_prob is 1",
        ),
        (
            {"type": "Constant", "val": 1, "override": {"val": 2}},
            ConfigError,
            "has no 'name'",
        ),
        (
            {"type": "Constant", "val": 1, "override": {"name": "0", "val": 2}},
            ConfigError,
            "override of '0' has 'val' but no 'type'",
        ),
        (
            {"type": "Constant", "val": 1, "override": {"name": "hed"}},
            ModelError,
            "no part 'hed'. It has 0, 1, 2",
        ),
    ],
)
def test_a_spec_that_cannot_work_says_why(
    spec: Any, error: type[Exception], text: str
) -> None:
    """Each mistake has a message that says what to write."""
    with pytest.raises(error, match=text):
        initialize(net(), spec)


def test_a_spec_that_names_no_layer_is_warned_of() -> None:
    """It would initialise nothing, in silence."""
    with pytest.warns(UserWarning, match="initialises nothing"):
        initialize(net(), {"type": "Constant", "val": 1})


def test_unknown_settings_of_the_functions_are_refused() -> None:
    """A distribution of another name and a sure probability say what is allowed."""
    with pytest.raises(ConfigError, match="distribution is 'norm'"):
        xavier_init(nn.Linear(1, 1), distribution="norm")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="prior_prob is 1"):
        bias_init_with_prob(1)


# ------------------------------------------------------------------- pretrained


def saved(path: Path, content: Any) -> str:
    """The file's path."""
    torch.save(content, path)
    return str(path)


def test_a_whole_file_is_loaded(tmp_path: Path) -> None:
    """Tensors by name, in ``state_dict`` or not, with DDP's prefix or not."""
    source = net()
    weights = source.state_dict()
    wrapped = {f"module.{name}": value for name, value in weights.items()}
    for content in (weights, {"state_dict": weights, "meta": {}}, wrapped):
        target = net()
        PretrainedInit(saved(tmp_path / "w.pth", content))(target)
        for name, value in target.state_dict().items():
            assert torch.equal(value, weights[name])


def test_a_part_of_a_file_is_loaded_by_prefix(tmp_path: Path) -> None:
    """Names below the prefix lose it, others are left out."""
    source = nn.ModuleDict({"backbone": net(), "head": net()})
    path = saved(tmp_path / "w.pth", source.state_dict())
    target = net()
    spec = {"type": "Pretrained", "checkpoint": path, "prefix": "backbone"}
    initialize(target, spec)
    assert values(target, "0.weight") == values(source, "backbone.0.weight")


def test_what_does_not_fit_is_warned_of(tmp_path: Path) -> None:
    """The rest is loaded; each kind of misfit is named."""
    source = nn.ModuleDict(
        {"a": nn.Linear(2, 2), "b": nn.Linear(2, 3), "c": nn.Linear(1, 1)}
    )
    target = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 4)})
    target["d"] = nn.Linear(1, 1, bias=False)
    path = saved(tmp_path / "w.pth", source.state_dict())
    with pytest.warns(UserWarning, match="loaded in part") as caught:
        PretrainedInit(path)(target)
    text = str(caught[0].message)
    assert "missing in the file: d.weight" in text
    assert "not in the module: c.weight, c.bias" in text
    assert r"b.weight (3, 2) for (4, 2)" in text
    assert values(target, "a.weight") == values(source, "a.weight")


def test_a_file_that_cannot_serve_says_why(tmp_path: Path) -> None:
    """No file, no plain data, no weights, no such prefix, no fit, not local."""

    def fails(checkpoint: str, prefix: str | None = None) -> Any:
        PretrainedInit(checkpoint, prefix)(net())

    with pytest.raises(CheckpointNotFoundError, match="there is no file"):
        fails(str(tmp_path / "none.pth"))
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointDamagedError, match="cannot be read as plain"):
        fails(str(broken))
    with pytest.raises(CheckpointDamagedError, match="holds objects"):
        fails(saved(tmp_path / "module.pth", net()))
    with pytest.raises(ModelError, match="has no weights: found a list"):
        fails(saved(tmp_path / "list.pth", [1]))
    other = saved(tmp_path / "other.pth", {"backbone.x": torch.ones(1)})
    with pytest.raises(ModelError, match=r"Did you mean 'backbone'\?"):
        fails(other, "bakbone")
    with pytest.raises(ModelError, match="no tensor that Sequential has"):
        fails(other)
    with pytest.raises(ModelError, match="not on this machine"):
        fails("https://example.org/w.pth")
