"""From a spec and a model to an optimizer wrapper."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from engine.errors import ConfigError, OptimizerError
from engine.optim import DefaultOptimWrapperConstructor

CFG = {"optimizer": {"type": "SGD", "lr": 1.0, "weight_decay": 0.5}}


def model() -> nn.Module:
    """A body with a norm and a depthwise convolution, and a head."""
    return nn.ModuleDict(
        {
            "body": nn.Sequential(
                nn.Conv2d(4, 4, 1, groups=4), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)
            ),
            "head": nn.Linear(2, 2),
        }
    )


def settings(paramwise_cfg: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Each parameter's learning rate and weight decay."""
    net = model()
    wrapper = DefaultOptimWrapperConstructor(CFG, paramwise_cfg)(net)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return {
        names[id(group["params"][0])]: (group["lr"], group["weight_decay"])
        for group in wrapper.optimizer.param_groups
    }


def test_without_rules_all_are_in_one_group() -> None:
    """The spec stays as it is."""
    wrapper = DefaultOptimWrapperConstructor({**CFG, "accumulative_counts": 2})(model())
    assert len(wrapper.optimizer.param_groups) == 1
    assert set(CFG) == {"optimizer"}


def test_rules_by_kind() -> None:
    """The first that fits: norm, bias, depthwise, one axis."""
    found = settings(
        {
            "bias_lr_mult": 2.0,
            "bias_decay_mult": 3.0,
            "norm_decay_mult": 5.0,
            "dwconv_decay_mult": 7.0,
            "flat_decay_mult": 11.0,
        }
    )
    assert found == {
        "body.0.weight": (1.0, 3.5),
        "body.0.bias": (2.0, 1.5),
        "body.1.weight": (1.0, 2.5),
        "body.1.bias": (1.0, 2.5),
        "body.2.weight": (1.0, 0.5),
        "body.2.bias": (2.0, 1.5),
        "head.weight": (1.0, 0.5),
        "head.bias": (2.0, 1.5),
    }


def test_the_longest_custom_key_decides_alone() -> None:
    """Other rules do not touch what it fits; settings of the optimizer pass through."""
    keys = {"body": {"lr_mult": 0.1}, "body.1": {"decay_mult": 0.0, "momentum": 0.7}}
    net = model()
    wrapper = DefaultOptimWrapperConstructor(
        CFG, {"custom_keys": keys, "bias_lr_mult": 2.0}
    )(net)
    groups = wrapper.optimizer.param_groups
    found = [(one["lr"], one["weight_decay"], one["momentum"]) for one in groups]
    assert found == [
        (0.1, 0.5, 0),
        (0.1, 0.5, 0),
        (1.0, 0.0, 0.7),
        (1.0, 0.0, 0.7),
        (0.1, 0.5, 0),
        (0.1, 0.5, 0),
        (1.0, 0.5, 0),
        (2.0, 0.5, 0),
    ]


def test_frozen_parameters_are_left_out() -> None:
    """Rules make groups of what trains."""
    net = model()
    net["body"].requires_grad_(False)  # type: ignore[index] # a ModuleDict
    wrapper = DefaultOptimWrapperConstructor(CFG, {"bias_lr_mult": 2.0})(net)
    assert len(wrapper.optimizer.param_groups) == 2


def test_a_shared_parameter_is_taken_once_if_asked() -> None:
    """Else it is an error with its name."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    rules = {"bias_lr_mult": 2.0}
    with pytest.raises(OptimizerError, match=r"'1\.weight' is one that another module"):
        DefaultOptimWrapperConstructor(CFG, rules)(net)
    again = DefaultOptimWrapperConstructor(CFG, {**rules, "bypass_duplicate": True})
    with pytest.warns(UserWarning, match=r"1\.weight is a parameter that another"):
        wrapper = again(net)
    assert len(wrapper.optimizer.param_groups) == 3


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([1], "paramwise_cfg is a list"),
        ({"bias_lr": 2}, "unknown key 'bias_lr'. Did you mean 'bias_lr_mult'"),
        ({"custom_keys": [1]}, "custom_keys is a list"),
        ({"custom_keys": {"head": 2}}, r"custom_keys\['head'\] is an int"),
        ({"custom_keys": {"head": {"lr": 2, "lrmult": 1}}}, "unknown key 'lrmult'"),
        (
            {"custom_keys": {"haed": {"lr_mult": 2}}},
            r"contains 'haed'. Did you mean 'head'\? The model's names begin .*body",
        ),
    ],
)
def test_bad_rules(rules: Any, said: str) -> None:
    """Each is named."""
    with pytest.raises(OptimizerError, match=said):
        DefaultOptimWrapperConstructor(CFG, rules)(model())


def test_a_decay_needs_one_to_multiply() -> None:
    """Torch's default is none."""
    cfg = {"optimizer": {"type": torch.optim.SGD, "lr": 1.0}}
    with pytest.raises(OptimizerError, match="'norm_decay_mult' multiplies the weight"):
        DefaultOptimWrapperConstructor(cfg, {"norm_decay_mult": 0.0})(model())


def test_bad_specs() -> None:
    """Each is named."""
    with pytest.raises(ConfigError, match="expected a mapping, found an int"):
        DefaultOptimWrapperConstructor(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="needs 'optimizer', the spec of one"):
        DefaultOptimWrapperConstructor({"type": "OptimWrapper"})
