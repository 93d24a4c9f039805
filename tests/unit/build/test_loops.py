"""Loops from their settings."""

from __future__ import annotations

from typing import Any

import pytest

from engine.build import build_eval_loop, build_train_loop
from engine.errors import ConfigError
from engine.loops import EpochBasedTrainLoop, IterBasedTrainLoop


def test_settings_say_which_loop_it_is() -> None:
    """By epoch unless they say otherwise or bound iterations."""
    one = build_train_loop({"max_epochs": 3, "val_begin": 2}, None, [1])
    assert isinstance(one, EpochBasedTrainLoop)
    assert (one.max_epochs, one.val_begin) == (3, 2)
    assert build_train_loop(one, None, [1]) is one
    for cfg in ({"max_iters": 3}, {"by_epoch": False, "max_iters": 3}):
        assert isinstance(build_train_loop(cfg, None, [1]), IterBasedTrainLoop)
        assert "type" not in cfg


def test_a_type_is_taken() -> None:
    """A name or a class."""
    spec = {"type": "IterBasedTrainLoop", "max_iters": 2}
    assert isinstance(build_train_loop(spec, None, [1]), IterBasedTrainLoop)
    spec = {"type": EpochBasedTrainLoop, "max_epochs": 2}
    assert isinstance(build_train_loop(spec, None, [1]), EpochBasedTrainLoop)


@pytest.mark.parametrize(
    ("cfg", "said"),
    [
        ({"type": "IterBasedTrainLoop", "by_epoch": False}, "not both"),
        ({}, "with by_epoch=True give 'max_epochs' and not 'max_iters'"),
        ({"by_epoch": True, "max_iters": 2}, "give 'max_epochs' and not 'max_iters'"),
        ({"by_epoch": False, "max_epochs": 2}, "give 'max_iters' and not 'max_epochs'"),
        ({"max_epochs": 2, "max_iters": 2}, "by_epoch=False give 'max_iters'"),
        (3, "train_cfg: expected a loop or a mapping, found an int"),
    ],
)
def test_settings_that_contradict_themselves(cfg: Any, said: str) -> None:
    """Each is named."""
    with pytest.raises(ConfigError, match=said):
        build_train_loop(cfg, None, [1])


def test_an_eval_loop_needs_settings_too() -> None:
    """A mapping, also an empty one, or a loop."""
    with pytest.raises(ConfigError, match="val_cfg: expected a loop or a mapping"):
        build_eval_loop(True, None, [1], None, default="ValLoop", where="val_cfg")
