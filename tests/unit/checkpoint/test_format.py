"""What a checkpoint of ours looks like."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch

from engine.checkpoint import check
from engine.checkpoint.format import (
    FORMAT,
    NEEDED,
    environment,
    environment_changes,
    find_foreign,
)
from engine.errors import CheckpointDamagedError


def test_ours_is_taken() -> None:
    """As a dict of its own."""
    ours = {
        "meta": {},
        "message_hub": {},
        "state_dict": {},
        "engine": dict.fromkeys(NEEDED) | {"format": FORMAT},
    }
    taken = check(ours, "a.pth")
    assert taken == ours
    assert taken is not ours


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (torch.zeros(1), "found a Tensor"),
        ({"weight": torch.zeros(1)}, r"found the keys \['weight'\]"),
        ({"state_dict": {}, "meta": {}}, r"found the keys \['meta', 'state_dict'\]"),
        ({"state_dict": {}, "engine": {"format": 99}}, "format 99, this version reads"),
        ({"state_dict": {}, "engine": {}}, "format None"),
        ({"engine": {"format": FORMAT}}, r"found the keys \['engine'\]"),
        ({"state_dict": {}, "engine": 1}, "found the keys"),
        ({1: 2}, r"found the keys \['1'\]"),
    ],
)
def test_what_is_not_ours_is_refused(found: Any, said: str) -> None:
    """It says what it found and how to take the weights alone."""
    with pytest.raises(
        CheckpointDamagedError, match=rf"^a\.pth: no run .*{said}.*load_from"
    ):
        check(found, "a.pth")


def test_the_environment_is_plain() -> None:
    """It goes into a file: torch's version is a class of its own."""
    assert {type(value) for value in environment().values()} <= {str, int, type(None)}


def test_what_changed_is_said() -> None:
    """One remark each; things that an older file lacks are passed over."""
    assert environment_changes(environment()) == []
    saved = {**environment(), "torch": "0.1", "threads": 99}
    del saved["numpy"]
    remarks = environment_changes(saved)
    assert len(remarks) == 2
    assert any(remark.startswith("torch was 0.1") for remark in remarks)
    assert any(remark.startswith("threads was 99") for remark in remarks)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ([1, (2, {"x": {3}})], None),
        (OrderedDict(a=torch.zeros(1)), None),
        ({"x": np.float32(1)}, "checkpoint['x'] is a numpy.float32"),
        ([[], [OrderedDict(a=object)]], "checkpoint[1][0]['a'] is a builtins.type"),
    ],
)
def test_find_foreign(value: Any, where: str | None) -> None:
    """Nothing in plain data, else the path to the first of it."""
    assert find_foreign(value) == where
