"""What is shown, in the plain form that every service takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.config import Config
from engine.errors import SerializationError
from engine.visualization.values import flat, nested, numbers, picture


def test_only_numbers_become_points() -> None:
    """Tensors and arrays with one element too; the rest is left out."""
    found = numbers(
        {
            "a": torch.tensor([0.5]),
            "b": np.float32(0.25),
            "c": 3,
            "d": torch.ones(2),
            "e": "text",
            "f": None,
            "g": {"x": 1},
            "h": np.ones(3),
            "i": True,
        }
    )
    assert found == {"a": 0.5, "b": 0.25, "c": 3, "i": 1}
    assert {type(one) for one in found.values()} == {float, int}


@pytest.mark.parametrize(
    "image",
    [
        np.full((2, 3, 3), 255, np.uint8),
        np.full((2, 3), 255, np.uint8),
        np.full((2, 3, 1), 1.5),
        torch.ones(2, 3, 3),
        torch.ones(2, 3, dtype=torch.float16, requires_grad=True),
    ],
    ids=["colour", "grey", "one channel", "tensor", "half"],
)
def test_a_picture_is_bytes_of_three_colours(image: Any) -> None:
    """Grey ones and floats are turned into it; too bright ones are cut."""
    array = picture("x", image)
    assert array.dtype == np.uint8
    assert array.shape == (2, 3, 3)
    assert array.flags.c_contiguous
    assert (array == 255).all()


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((3, 4, 5), np.uint8), r"a ndarray of shape \(3, 4, 5\) and uint8"),
        (np.zeros((4, 4, 3), np.int64), r"a ndarray of shape \(4, 4, 3\) and int64"),
        ("cat.png", "a str"),
        (torch.zeros(3), r"a Tensor of shape \(3,\)"),
    ],
)
def test_what_is_no_picture_is_named(image: Any, found: str) -> None:
    """With its shape and type, and what to do about channels in front."""
    with pytest.raises(SerializationError, match=f"image 'cat' is {found}") as caught:
        picture("cat", image)
    assert "permute(1, 2, 0)" in str(caught.value)


def test_a_config_is_plain() -> None:
    """Of any kind: a Config, a mapping, or something else."""
    config = Config({"a": {"b": (1, {"c": torch.nn.ReLU})}, "d": None})
    kind = "<class 'torch.nn.modules.activation.ReLU'>"
    assert nested(config) == {"a": {"b": [1, {"c": kind}]}, "d": None}
    assert flat({"a": {"b": {}, "c": 1.5}, "d": None}) == {
        "a.b": "{}",
        "a.c": 1.5,
        "d": None,
    }
    assert flat("lr = 1") == {"config": "lr = 1"}
