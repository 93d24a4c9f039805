"""What a metric remembers, where its attributes are odd ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.evaluator.memory import digests


class Holder:
    """Holds one value."""

    def __init__(self, value: Any) -> None:
        self.value = value


def circle() -> list[Any]:
    """A list that holds itself."""
    one: list[Any] = []
    one.append(one)
    return one


def deep() -> torch.nn.Module:
    """A module in a module, and so on."""
    one: torch.nn.Module = torch.nn.Identity()
    for _ in range(300):
        one = torch.nn.Sequential(one)
    return one


def of_inference() -> torch.Tensor:
    """A tensor without a count of writes."""
    with torch.inference_mode():
        return torch.ones(2)


ODD = {
    "inference": of_inference,
    "sparse": lambda: torch.eye(2).to_sparse(),
    "circle": circle,
    "deep": deep,
}


@pytest.mark.parametrize("name", ODD)
def test_what_cannot_be_looked_into_is_no_error(name: str) -> None:
    """It is told as such: the validation itself goes on."""
    assert digests(Holder(ODD[name]()), frozenset()) == {"value": None}
