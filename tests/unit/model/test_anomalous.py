"""detect_anomalous_params: parameters that a loss does not depend on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.model import detect_anomalous_params


def test_unused_parameters_are_named() -> None:
    """Those that are frozen want nothing, so they are not."""
    model = nn.ModuleDict(
        {"used": nn.Linear(1, 1), "odd": nn.Linear(1, 1), "frozen": nn.Linear(1, 1)}
    )
    model["frozen"].requires_grad_(False)
    loss = model["used"](torch.ones(1)).sum()
    with pytest.warns(UserWarning, match=r"depend on odd\.weight, odd\.bias\. Use"):
        assert detect_anomalous_params(loss, model) == ["odd.weight", "odd.bias"]


def test_used_parameters_are_no_anomaly() -> None:
    """Neither through a graph far deeper than Python's stack, nor after backward."""
    model = nn.Linear(1, 1)
    loss = model(torch.ones(1)).sum()
    for _ in range(5000):
        loss = loss * 1
    assert detect_anomalous_params(loss, model) == []
    torch.autograd.backward(loss)
    assert detect_anomalous_params(loss, model) == []


def test_a_loss_that_is_a_parameter_depends_on_itself() -> None:
    """There is no graph to walk."""
    model = nn.Module()
    model.register_parameter("w", nn.Parameter(torch.ones(())))
    assert detect_anomalous_params(model.get_parameter("w"), model) == []
