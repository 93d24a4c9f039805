"""Batch norm, to all processes and back."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from engine.errors import ConfigError
from engine.model import convert_sync_batchnorm, revert_sync_batchnorm


def net() -> nn.Sequential:
    """Norms of each number of dimensions, one with settings of its own."""
    return nn.Sequential(
        nn.Conv2d(2, 3, 1),
        nn.Sequential(nn.BatchNorm2d(3, eps=0.1, momentum=None), nn.Flatten(2)),
        nn.BatchNorm1d(3, momentum=0.3, track_running_stats=False),
        nn.Unflatten(2, (2, 2, 1)),
        nn.BatchNorm3d(3, affine=False),
    ).double()


def test_there_and_back_is_the_same_model() -> None:
    """Outputs, statistics, gradients and state are equal to the bit."""
    model = net()
    back = revert_sync_batchnorm(convert_sync_batchnorm(copy.deepcopy(model)))
    inputs = torch.rand(4, 2, 2, 2, dtype=torch.float64)
    for mode in (True, False):
        for each in (model, back):
            each.train(mode)
        ours, theirs = back(inputs), model(inputs)
        assert torch.equal(ours, theirs)
        for outputs in (ours, theirs):
            torch.autograd.backward(outputs.square().sum())
    assert list(back.state_dict()) == list(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(back.state_dict()[name], value), name
    for name, value in model.named_parameters():
        found = back.get_parameter(name).grad
        assert found is not None
        assert value.grad is not None
        assert torch.equal(found, value.grad), name


def test_converting_replaces_every_norm() -> None:
    """All become torch's SyncBatchNorm."""
    kinds = [type(each) for each in convert_sync_batchnorm(net()).modules()]
    assert kinds.count(nn.SyncBatchNorm) == 3
    assert nn.BatchNorm2d not in kinds


def test_reverting_keeps_what_the_norm_was() -> None:
    """The same tensors, settings, mode and hooks, so an optimizer steps on."""
    norm = nn.SyncBatchNorm(3, eps=0.2, momentum=0.4, dtype=torch.float64).eval()
    norm.register_forward_hook(lambda _module, _inputs, outputs: outputs + 100)
    norm.weight.requires_grad_(False)
    reverted = revert_sync_batchnorm(norm)
    assert isinstance(reverted, nn.BatchNorm2d)
    assert not isinstance(reverted, nn.SyncBatchNorm)
    assert (reverted.eps, reverted.momentum, reverted.training) == (0.2, 0.4, False)
    for name in ("weight", "bias", "running_mean", "num_batches_tracked"):
        assert getattr(reverted, name) is getattr(norm, name)
    assert reverted(torch.zeros(1, 3, dtype=torch.float64)).min() >= 100


def test_a_shared_norm_stays_shared() -> None:
    """One norm in several places is one norm afterwards."""
    shared = nn.SyncBatchNorm(3)
    model = revert_sync_batchnorm(nn.Sequential(shared, nn.Sequential(shared), shared))
    kinds = [type(each) for each in model.modules()]
    assert nn.SyncBatchNorm not in kinds
    assert model.get_submodule("0") is model.get_submodule("1.0")
    assert model.get_submodule("0") is model.get_submodule("2")


def test_a_model_without_such_norms_is_left_as_it_is() -> None:
    """The very same modules are returned."""
    model = net()
    parts = list(model.modules())
    assert revert_sync_batchnorm(model) is model
    assert list(model.modules()) == parts


def test_another_implementation_is_refused() -> None:
    """The message says what is there."""
    with pytest.raises(ConfigError, match="sync_bn is 'mmcv', but only 'torch'"):
        convert_sync_batchnorm(net(), implementation="mmcv")
