"""require_step: a model without the step that a loop needs."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from torch import nn

from engine.errors import ModelError
from engine.model import StepModel, require_step

STEPS: list[Literal["train_step", "val_step", "test_step"]] = [
    "train_step",
    "val_step",
    "test_step",
]


class Net(nn.Module):
    pass


class Own:
    def val_step(self, data: Any) -> list[Any]:
        return [data]


@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_is_there_is_given(name: Any) -> None:
    """The bound method itself comes back."""
    model = StepModel(nn.Linear(1, 1), nn.functional.mse_loss)
    assert require_step(model, name) == getattr(model, name)


def test_any_object_with_the_method_will_do() -> None:
    """A model need not be a subclass of ours, nor have the steps not asked for."""
    assert require_step(Own(), "val_step")(3) == [3]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("train_step", r"train_step\(data, optim_wrapper\)"),
        ("val_step", r"val_step\(data\)"),
        ("test_step", r"test_step\(data\)"),
    ],
)
def test_a_plain_module_is_pointed_to_step_model(name: Any, call: str) -> None:
    """The message has the class, the signature and the cure."""
    expected = rf"Net has no {call}\. Give it one, .*: StepModel\(net, loss=\.\.\.\)"
    with pytest.raises(ModelError, match=expected):
        require_step(Net(), name)


def test_an_attribute_that_is_no_method_is_told() -> None:
    """A value in the method's place is not called later."""
    net = Net()
    net.val_step = 3  # type: ignore[assignment]  # that is the mistake
    with pytest.raises(ModelError, match=r"Net\.val_step is an int, not a method"):
        require_step(net, "val_step")


def test_a_class_is_no_model() -> None:
    """The class in place of an object is told, although it has the function."""
    with pytest.raises(ModelError, match=r"is the class Own: pass Own\(\.\.\.\)"):
        require_step(Own, "val_step")
