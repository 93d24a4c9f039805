"""Trees of tensors and their devices."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine.dist import cast_data_device, get_data_device
from engine.errors import DataError

Pair = namedtuple("Pair", "first second")  # noqa: PYI024  # as users write it

TREES = st.recursive(
    st.builds(torch.full, st.just((2,)), st.integers(-3, 3)),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.tuples(inner, inner),
        st.builds(Pair, inner, inner),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1),
        st.builds(lambda one: OrderedDict(x=one), inner),
    ),
    max_leaves=6,
)


def leaves(tree: Any) -> list[Tensor]:
    """The tensors of a tree, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree
    return [leaf for part in parts for leaf in leaves(part)]


def form(tree: Any) -> Any:
    """A tree's types, without its tensors."""
    if isinstance(tree, Tensor):
        return "tensor"
    if isinstance(tree, dict):
        return type(tree), {key: form(value) for key, value in tree.items()}
    return type(tree), [form(each) for each in tree]


@given(tree=TREES)
def test_a_tree_keeps_its_form_on_another_device(tree: Any) -> None:
    """All of it goes there; what is there already is not copied."""
    moved = cast_data_device(tree, torch.device("meta"))
    assert form(moved) == form(tree)
    assert get_data_device(moved) == torch.device("meta")
    assert get_data_device(tree) == torch.device("cpu")
    same = cast_data_device(tree, "cpu")
    pairs = zip(leaves(same), leaves(tree), strict=True)
    assert all(one is other for one, other in pairs)


@given(tree=TREES)
def test_values_go_into_what_is_given_for_them(tree: Any) -> None:
    """``out`` has then the values of ``data``, in its own tensors."""
    zeros = _zeros(tree)
    before = leaves(zeros)
    assert cast_data_device(tree, "cpu", out=zeros) is zeros
    pairs = zip(leaves(zeros), leaves(tree), before, strict=True)
    assert all(one is old and torch.equal(one, new) for one, new, old in pairs)


def _zeros(tree: Any) -> Any:
    if isinstance(tree, Tensor):
        return torch.zeros_like(tree)
    if isinstance(tree, dict):
        return type(tree)((key, _zeros(value)) for key, value in tree.items())
    parts = [_zeros(each) for each in tree]
    return type(tree)(*parts) if isinstance(tree, Pair) else type(tree)(parts)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "no tensor"),
        (3, "found an int"),
        ("text", "found a str"),
        ([torch.ones(1), 3], "found an int"),
        ([torch.ones(1), torch.ones(1, device="meta")], "several devices: cpu, meta"),
    ],
)
def test_what_has_no_device(data: Any, said: str) -> None:
    """Each mistake is named."""
    with pytest.raises(DataError, match=said):
        get_data_device(data)


@pytest.mark.parametrize(
    "out", [[torch.ones(1)], [torch.ones(1), torch.ones(2)], {"a": torch.ones(1)}, 3]
)
def test_values_go_only_into_the_same_form(out: Any) -> None:
    """Two tensors of one value each need two places for one value each."""
    with pytest.raises(DataError, match="another form"):
        cast_data_device([torch.zeros(1), torch.zeros(1)], "cpu", out=out)
