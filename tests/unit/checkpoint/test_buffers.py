"""Buffers that a model's ``state_dict`` leaves out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.checkpoint.buffers import UnsavedBuffers
from engine.errors import CheckpointError


class Masked(nn.Module):
    """A constant mask and a count, neither of them in its state."""

    count: torch.Tensor

    def __init__(self, size: int = 3) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(size), persistent=False)
        self.register_buffer("count", torch.zeros(size), persistent=False)
        self.register_buffer("saved", torch.zeros(size))


def test_what_is_written_is_saved() -> None:
    """Constants are not; what was loaded stays saved."""
    inner = Masked()
    watch = UnsavedBuffers(nn.Sequential(inner))
    assert watch.state() == {}
    inner.count.add_(2)
    state = watch.state()
    assert list(state) == ["0.count"]
    other = Masked()
    again = UnsavedBuffers(nn.Sequential(other))
    again.load(state)
    assert torch.equal(other.count, inner.count)
    assert list(again.state()) == ["0.count"]


def test_what_is_replaced_is_saved() -> None:
    """A buffer that is assigned anew has changed too."""
    model = Masked()
    watch = UnsavedBuffers(model)
    model.count = model.count + 1
    assert list(watch.state()) == ["count"]


def test_another_shape_is_refused() -> None:
    """And a buffer that is not there; nothing is changed then."""
    watch = UnsavedBuffers(Masked(4))
    with pytest.raises(CheckpointError, match=r"buffer 'count': .* has shape \(3,\)"):
        watch.load({"count": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="no such buffer"):
        watch.load({"gone": torch.zeros(3)})
