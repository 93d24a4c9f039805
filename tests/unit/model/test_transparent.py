"""TransparentModule: a wrapper that does not show in names."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.model.transparent import TransparentModule


class Net(nn.Module):
    classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(1))
        self.body = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.scale * self.body(inputs)
        return out


class Outer(nn.Module):
    """Stands for any wrapper of torch's, such as DistributedDataParallel."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


def same(first: Any, second: Any) -> bool:
    """Whether two states have the same names in the same order, and equal tensors."""
    return list(first) == list(second) and all(
        torch.equal(first[name], second[name]) for name in first
    )


def versions(state: Any) -> Any:
    """The format versions of modules, which torch hangs on the mapping."""
    return vars(state)["_metadata"]


def test_the_state_has_the_modules_own_names() -> None:
    """Names, order, tensors and torch's format versions are the bare module's."""
    net = Net()
    state = TransparentModule(net).state_dict()
    assert same(state, net.state_dict())
    assert versions(state) == versions(net.state_dict())


def test_names_of_parts_are_the_modules_own() -> None:
    """Parameters, buffers and modules are named as in the state."""
    net = Net()
    wrapped = TransparentModule(net)
    for names in ("named_parameters", "named_buffers"):
        assert list(getattr(wrapped, names)()) == list(getattr(net, names)())
    assert list(wrapped.named_modules()) == [("", wrapped), *net.named_modules()]
    assert wrapped.get_parameter("body.0.weight") is net.body[0].weight


def test_weights_of_the_bare_module_load() -> None:
    """A file saved without the wrapper fits, strictly."""
    source, target = Net(), TransparentModule(Net())
    found = target.load_state_dict(source.state_dict())
    assert found.missing_keys == found.unexpected_keys == []
    assert same(target.state_dict(), source.state_dict())


def test_weights_of_the_wrapper_load_into_the_bare_module() -> None:
    """A file saved with the wrapper fits the module alone, strictly."""
    source, target = TransparentModule(Net()), Net()
    target.load_state_dict(source.state_dict())
    assert same(target.state_dict(), source.state_dict())


def test_a_further_wrapper_sees_the_short_names() -> None:
    """State moves between a wrapped net and a wrapped wrapper, both ways."""
    bare, deep = Outer(Net()), Outer(TransparentModule(Net()))
    assert [name for name, _ in deep.named_parameters()] == [
        name for name, _ in bare.named_parameters()
    ]
    deep.load_state_dict(bare.state_dict())
    assert same(deep.state_dict(), bare.state_dict())
    bare.load_state_dict(deep.state_dict())


def test_what_is_loaded_is_not_changed() -> None:
    """The caller's mapping keeps its names and versions."""
    state = Net().state_dict()
    names, before = list(state), copy.deepcopy(versions(state))
    TransparentModule(Net()).load_state_dict(state)
    assert list(state) == names
    assert versions(state) == before


def test_format_versions_reach_the_modules() -> None:
    """Batch norm of an old version still gains its counter, a new one misses it."""
    state = Net().state_dict()
    del state["body.1.num_batches_tracked"]
    with pytest.raises(CheckpointError, match=r"body\.1\.num_batches_tracked"):
        TransparentModule(Net()).load_state_dict(state)
    del vars(state)["_metadata"]
    TransparentModule(Net()).load_state_dict(state)


def test_tensors_may_be_taken_over() -> None:
    """assign=True keeps the very tensors of the state."""
    state = {name: value.clone() for name, value in Net().state_dict().items()}
    wrapped = TransparentModule(Net())
    wrapped.load_state_dict(state, assign=True)
    assert wrapped.scale.data_ptr() == state["scale"].data_ptr()


def test_names_that_do_not_fit_are_told_as_the_file_has_them() -> None:
    """Strict loading names missing and unexpected keys without the wrapper's."""
    state = Net().state_dict()
    state["size"] = state.pop("scale")
    expected = r"does not fit Net in .*: missing \['scale'\], unexpected \['size'\]"
    with pytest.raises(CheckpointError, match=expected):
        TransparentModule(Net()).load_state_dict(state)


def test_loose_loading_returns_what_did_not_fit() -> None:
    """The rest is loaded."""
    source = Net().state_dict()
    del source["scale"]
    target = TransparentModule(Net())
    found = target.load_state_dict({**source, "more": torch.ones(1)}, strict=False)
    assert (found.missing_keys, found.unexpected_keys) == (["scale"], ["more"])
    assert torch.equal(target.body[0].weight, source["body.0.weight"])


def test_attributes_are_looked_up_in_the_module() -> None:
    """What the wrapper lacks is the module's; what both lack is the wrapper's error."""
    wrapped = TransparentModule(Net())
    assert wrapped.classes == 3
    assert wrapped.body is wrapped.module.body
    with pytest.raises(
        AttributeError, match=r"'TransparentModule' object has no .*'x'"
    ):
        _ = wrapped.x


def test_copies_and_pickles_work() -> None:
    """Looking attributes up does not loop while a copy has no parts yet."""
    wrapped = TransparentModule(Net())
    for other in (copy.deepcopy(wrapped), pickle.loads(pickle.dumps(wrapped))):  # noqa: S301  our own bytes
        assert same(other.state_dict(), wrapped.state_dict())
        assert other.module is not wrapped.module


def test_calling_it_calls_the_module() -> None:
    """All arguments pass through."""
    net = Net().eval()
    inputs = torch.rand(4, 2)
    assert torch.equal(TransparentModule(net)(inputs=inputs), net(inputs))
