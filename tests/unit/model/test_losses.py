"""parse_losses: what is differentiated and what is logged."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.errors import ModelError
from engine.model.losses import parse_losses


def plain(losses: Any) -> tuple[float, dict[str, float]]:
    """The total and the logged values as numbers."""
    total, values = parse_losses(losses)
    return total.item(), {name: value.item() for name, value in values.items()}


def test_a_tensor_is_the_loss() -> None:
    """One tensor is differentiated and logged as loss."""
    assert plain(torch.tensor(2.0)) == (2.0, {"loss": 2.0})


def test_one_element_in_any_shape_is_a_loss() -> None:
    """A loss of shape (1,) is logged with shape ()."""
    total, values = parse_losses(torch.tensor([2.0]))
    assert total.shape == values["loss"].shape == ()


def test_entries_called_loss_are_summed_and_others_logged() -> None:
    """Means of tensors, sums over lists: the numbers that MMEngine 0.10.7 gives."""
    losses = {
        "a_loss": torch.tensor([1.0, 3.0]),
        "loss_b": [torch.tensor(1.0), torch.tensor([2.0, 4.0])],
        "acc": torch.tensor([0.5, 1.0]),
    }
    total, values = plain(losses)
    assert total == 6.0
    assert values == {"loss": 6.0, "a_loss": 2.0, "loss_b": 4.0, "acc": 0.75}
    assert next(iter(values)) == "loss"


def test_the_logged_loss_is_what_was_differentiated() -> None:
    """An entry that is itself called loss is one of the summands."""
    losses = {"loss": torch.tensor(1.0), "loss_b": torch.tensor(2.0)}
    assert plain(losses) == (3.0, {"loss": 3.0, "loss_b": 2.0})


def test_counts_are_logged_as_their_mean() -> None:
    """Whole numbers and truth values have a mean too."""
    losses = {"loss": torch.tensor(1.0), "hits": torch.tensor([True, False])}
    assert plain(losses)[1]["hits"] == 0.5


def test_only_the_total_can_be_differentiated() -> None:
    """Logged values hold no graph."""
    weight = torch.ones((), requires_grad=True)
    total, values = parse_losses({"loss_a": weight * 2, "acc": weight.exp()})
    assert total.requires_grad
    assert not any(value.requires_grad for value in values.values())


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        (0.5, "returned a float, but a tensor with one element, or a mapping"),
        (None, "returned a NoneType"),
        (torch.ones(2, 3), r"a tensor of shape \(2, 3\), .* \.mean\(\)"),
        ({"acc": torch.tensor(1.0)}, "returned 'acc', but names .* contain 'loss'"),
        ({"Loss": torch.tensor(1.0)}, "returned 'Loss', but names"),
        ({}, "returned nothing, but names"),
        ({"loss": 0.5}, r"returned a float as 'loss', .* torch\.tensor\(\.\.\.\)"),
        ({"loss": []}, "returned an empty list as 'loss'"),
        ({"loss": [torch.tensor(1.0), 2.0]}, "returned a float as 'loss'"),
    ],
    ids=["float", "none", "shape", "no loss", "case", "empty", "value", "list", "in"],
)
def test_a_loss_of_the_wrong_form_is_named(
    losses: Tensor | dict[str, Any], expected: str
) -> None:
    """What was found is told, and what to return instead."""
    with pytest.raises(ModelError, match=expected):
        parse_losses(losses)
