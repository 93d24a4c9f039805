"""The learning rate for another batch size."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import OptimizerError
from engine.optim import lr_ratio, scale_lr


@given(base=st.integers(1, 4096), world=st.integers(1, 64), batch=st.integers(1, 512))
def test_the_rate_per_sample_is_kept(base: int, world: int, batch: int) -> None:
    """That is what the linear rule says."""
    ratio = lr_ratio(
        {"enable": True, "base_batch_size": base}, world_size=world, batch_size=batch
    )
    assert ratio * base == pytest.approx(world * batch)


@pytest.mark.parametrize(
    "settings", [None, {}, {"enable": False}, {"base_batch_size": 8}]
)
def test_without_enable_nothing_changes(settings: Any) -> None:
    """As MMEngine's default is."""
    assert lr_ratio(settings, world_size=4, batch_size=8) == 1.0


def test_every_group_is_scaled() -> None:
    """Each from its own rate."""
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD(
        [{"params": weights[:1], "lr": 0.1}, {"params": weights[1:], "lr": 0.4}]
    )
    scale_lr(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.2]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"enabel": True}, "unknown key 'enabel'. Did you mean 'enable'"),
        ({"enable": True}, "base_batch_size=None: give the samples of one step"),
        ({"enable": True, "base_batch_size": 0}, "base_batch_size=0"),
        (True, "expected a mapping such as"),
    ],
)
def test_bad_settings(settings: Any, said: str) -> None:
    """Each is named."""
    with pytest.raises(OptimizerError, match=said):
        lr_ratio(settings, world_size=1, batch_size=1)
