"""Where a module is, and a batch brought there."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from engine.model.device import device_of, to_device

META = torch.device("meta")  # a device that each machine has beside its cpu


class Pair(NamedTuple):
    left: Tensor
    right: str


def test_the_first_parameter_tells_where_a_module_is() -> None:
    """Parameters count before buffers, however deep they lie."""
    module = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(1, 1, device=META)))
    module.register_buffer("mean", torch.zeros(1))
    module.register_module("gone", None)
    assert device_of(module) == META


def test_a_buffer_tells_where_there_are_no_parameters() -> None:
    """Normalisation without weights has a place too."""
    module = nn.Sequential(nn.BatchNorm1d(2, affine=False, device=META))
    assert device_of(module) == META


def test_a_module_without_tensors_is_nowhere() -> None:
    """It works wherever its inputs are."""
    assert device_of(nn.Sequential(nn.ReLU())) is None


def test_a_module_that_moved_is_found_where_it_is_now() -> None:
    """Nothing is remembered from the last time."""
    module = nn.Linear(1, 1)
    assert device_of(module) == torch.device("cpu")
    assert device_of(module.to(META)) == META


def test_tensors_in_containers_are_moved() -> None:
    """Lists, tuples, named tuples and dicts keep their kind; the rest is left alone."""
    here = torch.zeros(2)
    data: Any = {"a": [here, 1], "b": (Pair(here, "x"), None)}
    moved = to_device(data, META)
    assert moved["a"][0].device == moved["b"][0].left.device == META
    assert moved["a"][1:] == [1]
    assert type(moved["b"][0]) is Pair
    assert moved["b"][0].right == "x"
    assert data["a"][0] is here


def test_a_tensor_that_is_there_is_not_copied() -> None:
    """A batch on the right device costs no memory."""
    here = torch.zeros(2)
    assert to_device(here, torch.device("cpu")) is here


def test_packed_sequences_keep_their_lengths_on_the_host() -> None:
    """The lengths are asked for there."""
    packed = pack_sequence([torch.zeros(3), torch.zeros(2)])
    moved = to_device(packed, META)
    assert isinstance(moved, PackedSequence)
    assert moved.data.device == META
    assert moved.batch_sizes.device == torch.device("cpu")
