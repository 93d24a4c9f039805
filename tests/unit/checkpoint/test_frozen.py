"""A host copy is the state as it was, whatever the run does afterwards."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from engine.checkpoint import HostCopy
from tests.runs import bits


def state() -> dict[str, Any]:
    """What a checkpoint is made of, views and kinds of tensors included."""
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(5, 4)).sum().backward()
    optimizer.step()
    whole = torch.arange(12.0)
    return {
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "views": [whole[:6], whole[3:9].reshape(2, 3), whole.view(3, 4).t()],
        "kinds": (
            torch.tensor(True),
            torch.empty(0, 4),
            torch.tensor(3, dtype=torch.int8),
            torch.randn(3).bfloat16(),
        ),
        "plain": [1, "a", None, 0.5, {1, 2}, torch.Size([2]), Counter("aab")],
        "ordered": OrderedDict(b=torch.ones(2), a=2),
    }


def tensors(tree: Any) -> list[torch.Tensor]:
    """All of them, in order."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, dict):
        return [one for value in tree.values() for one in tensors(value)]
    if isinstance(tree, list | tuple):
        return [one for value in tree for one in tensors(value)]
    return []


def test_it_equals_what_was_taken_and_stays_so() -> None:
    """Values, kinds, order and torch's notes on a state dict; nothing is shared."""
    live = state()
    before = bits(live)
    taken = HostCopy().take(live)
    assert bits(taken) == before
    assert taken["state_dict"]._metadata == live["state_dict"]._metadata
    for one in tensors(live):
        one.zero_()
    assert bits(taken) == before


def test_lazy_and_sparse_tensors_are_copied_too() -> None:
    """Those that are no plain view of their memory."""
    live = [torch.tensor([1 + 2j, 3 - 4j]).conj(), torch.eye(3).to_sparse()]
    taken = HostCopy().take(live)
    assert torch.equal(taken[0], live[0])
    assert torch.equal(taken[1].to_dense(), torch.eye(3))


def test_views_of_one_memory_stay_that() -> None:
    """What shares memory in the run shares it in the copy, and is copied once."""
    views = HostCopy().take(state())["views"]
    addresses = {one.untyped_storage().data_ptr() for one in views}
    assert len(addresses) == 1


@given(rounds=st.integers(2, 4), grows=st.booleans())
def test_buffers_are_kept(rounds: int, *, grows: bool) -> None:
    """Later copies land in the memory of the first, wherever the run's tensors lie."""
    copy, places = HostCopy(), []
    for number in range(rounds):
        live = {"a": torch.full((50,), float(number)), "b": torch.ones(7)}
        if grows and number:
            live["more"] = torch.zeros(9)
        taken = copy.take(live)
        assert torch.equal(taken["a"], live["a"])
        places.append({taken[name].data_ptr() for name in ("a", "b")})
        assert copy.size_bytes == sum(one.nbytes for one in live.values())
    assert all(one == places[0] for one in places)


def test_what_the_state_has_no_more_is_let_go() -> None:
    """The memory is never more than one copy of the last state."""
    copy = HostCopy()
    copy.take({"a": torch.zeros(100), "b": torch.zeros(10)})
    copy.take({"b": torch.zeros(10)})
    assert copy.size_bytes == 40
