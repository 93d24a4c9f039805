"""Prefixes of checkpoints' names have loaders of the user's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from engine.errors import DuplicateNameError
from engine.runner import (
    CheckpointLoader,
    get_state_dict,
    load_checkpoint,
    weights_to_cpu,
)


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """``zoo://`` is known while the test runs; the names that were asked for."""
    asked: list[str] = []
    monkeypatch.setattr(CheckpointLoader, "_schemes", {})

    @CheckpointLoader.register_scheme(["zoo://", "farm://"])
    def load(filename: str, map_location: Any = None) -> dict[str, Any]:
        asked.append(filename)
        return {"weight": torch.full((1, 2), 3.0), "bias": torch.zeros(1)}

    return asked


def test_a_prefix_has_its_loader(zoo: list[str]) -> None:
    """Each of several; the loader gets the whole name."""
    model = nn.Linear(2, 1)
    load_checkpoint(model, "zoo://a")
    load_checkpoint(model, "farm://b")
    assert zoo == ["zoo://a", "farm://b"]
    assert model.weight.tolist() == [[3.0, 3.0]]


def test_the_longest_prefix_wins(zoo: list[str]) -> None:
    """Whatever the order of registration."""
    CheckpointLoader.register_scheme("zoo://cats/", lambda *_, **__: {"cat": 1})
    assert CheckpointLoader.load_checkpoint("zoo://cats/x") == {"cat": 1}
    assert zoo == []


def test_a_prefix_that_is_taken_is_an_error(zoo: list[str]) -> None:
    """Unless it is forced."""
    with pytest.raises(DuplicateNameError, match="begin with 'zoo://' have a loader"):
        CheckpointLoader.register_scheme("zoo://", print)
    CheckpointLoader.register_scheme("zoo://", lambda *_, **__: 1, force=True)
    assert CheckpointLoader.load_checkpoint("zoo://a") == 1
    assert zoo == []


def test_wrappers_inside_a_model_leave_no_trace_in_the_names() -> None:
    """At any depth, as in MMEngine."""
    inner = nn.DataParallel(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    model = nn.DataParallel(nn.ModuleDict({"body": inner, "head": nn.Linear(2, 1)}))
    plain = nn.ModuleDict(
        {
            "body": nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)),
            "head": nn.Linear(2, 1),
        }
    )
    assert list(get_state_dict(model)) == list(plain.state_dict())
    assert list(get_state_dict(model, prefix="x.")) == [
        f"x.{name}" for name in plain.state_dict()
    ]


def test_weights_to_cpu_is_a_mapping_of_its_own() -> None:
    """Order and torch's notes stay."""
    state = nn.BatchNorm1d(2).state_dict()
    copied = weights_to_cpu(state)
    assert list(copied) == list(state)
    assert copied._metadata == state._metadata  # type: ignore[attr-defined]  # torch's own
    assert copied is not state
