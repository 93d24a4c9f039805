"""What a metric remembers, where its attributes are odd ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.evaluator.memory import digests, pack, unpack


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


@pytest.mark.parametrize("times", [1, 2])
def test_a_tensor_comes_back_on_its_device(times: int) -> None:
    """Wherever the checkpoint was read to: results of one evaluation are joined."""
    packed: Any = [torch.ones(2, device="meta"), torch.ones(2)]
    for _ in range(times):  # a metric packs, and its evaluator does
        packed = pack(packed)
    packed[0]["tensor"] = torch.ones(2)  # as with map_location="cpu"
    found = unpack(packed)
    assert [one.device.type for one in found] == ["meta", "cpu"]
    assert torch.equal(unpack(found)[1], torch.ones(2))


@pytest.mark.parametrize("times", [1, 2, 3])
def test_arrays_come_back_however_often_they_are_packed(times: int) -> None:
    """A metric packs what it holds, and its evaluator packs that."""
    given = [np.arange(6.0).reshape(2, 3), np.float32(0.5), np.zeros(0)]
    packed: Any = given
    for _ in range(times):
        packed = pack(packed)
    for one, found in zip(given, unpack(packed), strict=True):
        assert type(found) is type(one)
        np.testing.assert_array_equal(found, one)


def test_a_device_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes on without a GPU finds what was on it on the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = unpack({"tensor": torch.ones(2), "device": "cuda:0"})
    assert found.device.type == "cpu"
