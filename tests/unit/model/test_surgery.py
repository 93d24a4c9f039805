"""Activation checkpointing and compiling: the same results, names and copies."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn.functional import mse_loss

from engine.errors import ConfigError, ModelError
from engine.model import StepModel, compile_step, turn_on_activation_checkpointing
from engine.optim import OptimWrapper

if TYPE_CHECKING:
    from collections.abc import Callable


class Counted(nn.Module):
    """Counts how often it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.dropout = nn.Dropout(0.5)
        self.calls = 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        outputs: Tensor = self.dropout(self.linear(inputs))
        return outputs


def net() -> nn.Sequential:
    """Two blocks."""
    return nn.Sequential(Counted(), nn.Sequential(Counted()))


def gradients(model: nn.Module) -> list[Tensor]:
    """The gradients of one backward, from seed 0."""
    torch.manual_seed(0)
    torch.autograd.backward(model(torch.ones(3, 2)).sum())
    return [each.grad for each in model.parameters() if each.grad is not None]


def test_recomputed_gradients_are_the_same() -> None:
    """To the bit, dropout included; the part runs twice."""
    plain, recomputed = net(), net()
    recomputed.load_state_dict(plain.state_dict())
    turn_on_activation_checkpointing(recomputed, ["1.0"])
    pairs = zip(gradients(recomputed), gradients(plain), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
    assert recomputed.get_submodule("1.0").calls == 2
    assert recomputed.get_submodule("0").calls == 1
    assert list(recomputed.state_dict()) == list(plain.state_dict())


def test_a_part_that_is_named_twice_is_wrapped_once() -> None:
    """Not recomputed for its recomputation."""
    model = net()
    part = model.get_submodule("0")
    turn_on_activation_checkpointing(model, ["0", "0"])
    once = part.forward
    turn_on_activation_checkpointing(model, "0")
    assert part.forward is once
    gradients(model)
    assert part.calls == 2


def test_a_copy_with_checkpointing_calls_itself() -> None:
    """Neither a deep copy nor an unpickled one runs the original."""
    model = net()
    turn_on_activation_checkpointing(model, ["0"])
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301 - our own bytes
        gradients(other)
        assert other.get_submodule("0").calls == 2
    assert model.get_submodule("0").calls == 0


def test_an_unknown_part_changes_nothing() -> None:
    """The message has the nearest name."""
    model = net()
    with pytest.raises(ModelError, match=r"no part '1.00'. Did you mean '1.0'\?"):
        turn_on_activation_checkpointing(model, ["0", "1.00"])
    gradients(model)
    assert model.get_submodule("0").calls == 1


# ---------------------------------------------------------------------- compiling


class Backend:
    """A backend for torch.compile that runs graphs as they are and counts them."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: fx.GraphModule, inputs: Any) -> Callable[..., Any]:
        self.graphs += 1
        return graph.forward


def test_a_compiled_model_gives_the_same_under_the_same_names() -> None:
    """No ``_orig_mod`` appears in the state."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    names = list(model.state_dict())
    inputs = torch.rand(3, 2)
    expected = model(inputs)
    backend = Backend()
    assert compile_step(model, {"backend": backend}) is model
    assert torch.equal(model(inputs), expected)
    assert backend.graphs == 1
    assert list(model.state_dict()) == names


def test_a_step_model_is_compiled_where_its_step_goes() -> None:
    """The wrapped module's forward is, for that is what a step calls."""
    backend = Backend()
    model = StepModel(nn.Linear(2, 2), mse_loss)
    compile_step(model, {"backend": backend})
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    model.train_step([torch.rand(3, 2), torch.rand(3, 2)], wrapper)
    assert backend.graphs == 1


def test_another_method_may_be_compiled() -> None:
    """``target`` names it, and ``forward`` stays as it was."""
    model = StepModel(nn.Linear(2, 2), mse_loss)
    backend = Backend()
    compile_step(model, {"target": "val_step", "backend": backend})
    model(torch.rand(3, 2))
    assert backend.graphs == 0
    model.val_step([torch.rand(3, 2), torch.rand(3, 2)])
    assert backend.graphs > 0


def test_a_copy_of_a_compiled_model_calls_itself() -> None:
    """A deep copy's and an unpickled model's weights are their own."""
    model = compile_step(nn.Linear(1, 1, bias=False), {"backend": "eager"})
    inputs = torch.ones(1)
    before = model(inputs).item()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301 - our own bytes
        nn.init.constant_(other.get_parameter("weight"), 5.0)
        assert other(inputs).item() == 5.0
        assert model(inputs).item() == before


def test_compiling_twice_compiles_once() -> None:
    """The later options hold."""
    first, second = Backend(), Backend()
    model = nn.Linear(1, 1)
    compile_step(model, {"backend": first})
    compile_step(model, {"backend": second})
    model(torch.ones(1))
    assert (first.graphs, second.graphs) == (0, 1)


def test_false_compiles_nothing() -> None:
    """The model is as it was."""
    model = nn.Linear(1, 1)
    assert compile_step(model, options=False) is model
    assert "forward" not in vars(model)


def test_options_that_cannot_work_say_why() -> None:
    """An unknown argument, and a method that is not there."""
    model = nn.Linear(1, 1)
    with pytest.raises(ConfigError, match=r"no argument 'bakend'. Did you mean"):
        compile_step(model, {"bakend": "eager"})
    with pytest.raises(ModelError, match=r"no method 'forwrd'. Did you mean 'forward'"):
        compile_step(model, {"target": "forwrd"})
