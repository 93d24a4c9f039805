"""A transparent wrapper's state is the bare module's, whatever names that has."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from engine.model import StepModel
from engine.model.transparent import TransparentModule

NAMES = st.sampled_from(["module", "loss", "a", "b"])
TREES = st.recursive(
    st.just(None),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
"""Nested dicts of children's names; ``None`` and ``{}`` have no children."""


def grow(tree: dict[str, Any] | None) -> nn.Module:
    """A module with a parameter ``w`` and these children, in this order."""
    module = nn.Module()
    module.register_parameter("w", nn.Parameter(torch.rand(1)))
    for name, inner in (tree or {}).items():
        module.register_module(name, grow(inner))
    return module


def plain(module: nn.Module) -> list[tuple[str, float]]:
    """Names and values of the state, in order."""
    return [(name, value.item()) for name, value in module.state_dict().items()]


@given(tree=TREES, wrappers=st.integers(1, 3), outside=st.booleans())
def test_the_state_is_that_of_the_bare_module(
    tree: dict[str, Any] | None, wrappers: int, outside: bool
) -> None:
    """Names, order and values agree, and load both ways, at any depth."""

    def wrapped(net: nn.Module) -> nn.Module:
        for _ in range(wrappers):
            net = TransparentModule(net)
        return nn.Sequential(net) if outside else net

    def bare(net: nn.Module) -> nn.Module:
        return nn.Sequential(net) if outside else net

    net = grow(tree)
    assert plain(wrapped(net)) == plain(bare(net))
    assert [n for n, _ in wrapped(net).named_parameters()] == [
        n for n, _ in bare(net).named_parameters()
    ]
    other = wrapped(grow(tree))
    other.load_state_dict(bare(net).state_dict())
    assert plain(other) == plain(bare(net))
    back = bare(grow(tree))
    back.load_state_dict(other.state_dict())
    assert plain(back) == plain(bare(net))


@given(tree=TREES)
def test_a_loss_with_state_is_told_from_the_modules_own(
    tree: dict[str, Any] | None,
) -> None:
    """A module's ``loss.w`` and a loss's ``loss.weight`` go where they came from."""

    def make() -> StepModel:
        return StepModel(grow(tree), nn.CrossEntropyLoss(weight=torch.rand(1)))

    source, target = make(), make()
    target.load_state_dict(source.state_dict())
    assert plain(target) == plain(source)
    assert plain(target.module) == plain(source.module)
    assert torch.equal(*(model.get_buffer("loss.weight") for model in (source, target)))
