"""What an object remembers, attribute by attribute."""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import define

from engine.hooks.memory import changed, remembered

if TYPE_CHECKING:
    from collections.abc import Callable


class Holder:
    """Holds one value."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.setting = "fixed"


@define
class Slotted:
    """Holds one value in a slot."""

    value: Any


def _draw(generator: Any) -> None:
    generator.random()


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "a number": (lambda: 1, lambda held: setattr(held, "value", 2)),
    "a list": (lambda: [1], lambda held: held.value.append(2)),
    "nested": (lambda: {"a": [deque([1])]}, lambda held: held.value["a"][0].append(2)),
    "a set": (lambda: {1}, lambda held: held.value.add(2)),
    "an array": (lambda: np.zeros(3), lambda held: held.value.__setitem__(1, 4)),
    "a tensor": (lambda: torch.zeros(3), lambda held: held.value.add_(1)),
    "python's": (lambda: random.Random(0), lambda held: held.value.random()),
    "NumPy's": (lambda: np.random.default_rng(0), lambda held: held.value.random()),
    "torch's": (torch.Generator, lambda held: torch.rand((), generator=held.value)),
    "an object": (lambda: Holder(1), lambda held: setattr(held.value, "value", 2)),
    "slots": (lambda: Slotted(1), lambda held: setattr(held.value, "value", 2)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_inside_is_seen(name: str) -> None:
    """And nothing is where nothing changed."""
    make, change = CHANGES[name]
    for held in (Holder(make()), Slotted(make())):
        before = remembered(held)
        assert changed(before, remembered(held)) == []
        change(held)
        assert changed(before, remembered(held)) == ["value"]


@pytest.mark.parametrize("make", [object, lambda: torch.zeros(3), lambda: {object()}])
def test_another_one_in_its_place_is_seen(make: Callable[[], Any]) -> None:
    """Also where it gets the address of the one that is gone."""
    held = Holder(make())
    before = remembered(held)
    held.value = None
    held.value = make()
    assert changed(before, remembered(held)) == ["value"]


def test_tensors_whose_writes_nobody_counts() -> None:
    """Those from inference mode and sparse ones are told apart by identity."""
    with torch.inference_mode():
        of_inference = torch.ones(2)
    for value in (of_inference, torch.eye(2).to_sparse()):
        held = Holder(value)
        before = remembered(held)
        assert changed(before, remembered(held)) == []
        held.value = torch.eye(2).to_sparse()
        assert changed(before, remembered(held)) == ["value"]


def test_what_is_left_out_may_change() -> None:
    """As ``transient`` says."""
    held = Holder(1)
    before = remembered(held, leave_out={"value"})
    held.value = 2
    assert changed(before, remembered(held, leave_out={"value"})) == []


def test_a_circle_ends() -> None:
    """Objects that hold one another are looked into a few levels deep."""
    one, other = Holder(1), Holder(2)
    one.value, other.value = other, one
    assert changed(remembered(one), remembered(one)) == []
