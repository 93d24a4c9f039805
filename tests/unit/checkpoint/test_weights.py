"""Weights alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from engine.checkpoint import load_checkpoint, load_state_dict
from engine.errors import (
    CheckpointDamagedError,
    CheckpointError,
    CheckpointNotFoundError,
)

if TYPE_CHECKING:
    from pathlib import Path


class Warnings:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def warning(self, event: str, **keys: Any) -> None:
        self.told.append((event, keys))


def save(path: Path, what: Any) -> Path:
    """A file with that in it."""
    torch.save(what, path)
    return path


@pytest.mark.parametrize("bare", [True, False])
def test_weights_are_loaded(tmp_path: Path, bare: bool) -> None:
    """From a checkpoint, and from a file that is a state dict; returns the contents."""
    source, model = nn.Linear(2, 1), nn.Linear(2, 1)
    weights = source.state_dict()
    path = save(
        tmp_path / "a.pth", weights if bare else {"state_dict": weights, "meta": {}}
    )
    found = load_checkpoint(model, path)
    assert torch.equal(model.weight, source.weight)
    assert set(found) == ({"weight", "bias"} if bare else {"state_dict", "meta"})


def test_keys_are_revised(tmp_path: Path) -> None:
    """The prefix of a DDP wrapper goes by default; others as asked for."""
    model = nn.Linear(1, 1)
    weights = {f"module.net.{key}": value for key, value in model.state_dict().items()}
    path = save(tmp_path / "a.pth", weights)
    load_checkpoint(
        model, path, strict=True, revise_keys=[(r"^module\.", ""), (r"^net\.", "")]
    )
    with pytest.raises(CheckpointError, match=r"unexpected \['net\."):
        load_checkpoint(model, path, strict=True)


def test_what_does_not_match_is_told(tmp_path: Path) -> None:
    """To the logger, or with strict as an error that names the keys."""
    model, log = nn.Linear(1, 1), Warnings()
    path = save(tmp_path / "a.pth", {"weight": torch.zeros(1, 1), "x": torch.zeros(1)})
    load_checkpoint(model, path, logger=log)
    assert log.told == [
        (
            "weights_do_not_match",
            {"path": str(path), "missing": ["bias"], "unexpected": ["x"]},
        )
    ]
    with pytest.raises(
        CheckpointError, match=r"fit Linear: missing \['bias'\]; unexpected \['x'\]"
    ):
        load_checkpoint(model, path, strict=True)
    load_checkpoint(model, path)


def test_many_keys_are_cut_short() -> None:
    """A message is no listing of a whole network."""
    model = nn.Sequential(*[nn.Linear(1, 1) for _ in range(5)])
    with pytest.raises(CheckpointError, match="and 4 more"):
        load_state_dict(model, {}, strict=True)


def test_shapes_that_differ_are_an_error_always() -> None:
    """Also without strict."""
    weights = {"weight": torch.zeros(2, 2), "bias": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"(?s)do not fit Linear.*size mismatch"):
        load_state_dict(nn.Linear(1, 1), weights, strict=False)


@pytest.mark.parametrize(
    "content", [{"meta": {}}, [1, 2], {"state_dict": {"x": 1}}, {"state_dict": 3}]
)
def test_a_file_without_weights_is_refused(tmp_path: Path, content: Any) -> None:
    """It says what it expected and what it found."""
    path = save(tmp_path / "a.pth", content)
    with pytest.raises(CheckpointDamagedError, match=r"a\.pth: holds no weights"):
        load_checkpoint(nn.Linear(1, 1), path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """As for a resume."""
    with pytest.raises(CheckpointNotFoundError, match=r"no\.pth: there is no such"):
        load_checkpoint(nn.Linear(1, 1), tmp_path / "no.pth")
