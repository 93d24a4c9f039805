"""The protocol of things with memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.hooks import CheckpointHook, Hook
from engine.state import GeneratorState, HistoryBuffer, MessageHub, RunState
from engine.typing import Stateful

LAYER = torch.nn.Linear(1, 1)


@pytest.mark.parametrize(
    "thing",
    [
        RunState(),
        MessageHub(),
        HistoryBuffer(),
        GeneratorState(torch.Generator()),
        CheckpointHook(),
        LAYER,
        torch.optim.SGD(LAYER.parameters(), lr=0.1),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_what_has_memory_is_stateful(thing: Any) -> None:
    """Ours, torch's: whatever gives its state and takes it back."""
    assert isinstance(thing, Stateful)


@pytest.mark.parametrize("thing", [Hook(), torch.Generator(), {}, None])
def test_what_has_none_is_not(thing: Any) -> None:
    """A plain hook has no memory; a bare generator needs its adapter."""
    assert not isinstance(thing, Stateful)
