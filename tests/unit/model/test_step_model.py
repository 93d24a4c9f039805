"""StepModel: a plain module with the three steps."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from engine.errors import CheckpointError, DataError, ModelError
from engine.model import StepModel
from engine.optim import OptimWrapper
from engine.registry import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator

META = torch.device("meta")


def batch() -> list[Tensor]:
    """Six samples of two features, three classes."""
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(6, 2, generator=generator), torch.arange(6) % 3]


class Tracer:
    """Stands for an optimizer wrapper and keeps what it was asked."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        self.seen.append(("enter", model))
        yield
        self.seen.append("leave")

    def update_params(self, loss: Tensor) -> None:
        self.seen.append(loss)


def test_training_equals_the_loop_written_by_hand() -> None:
    """Steps through the wrapper leave the very weights of torch's own lines."""
    by_hand = nn.Linear(2, 3)
    model = StepModel(copy.deepcopy(by_hand), cross_entropy)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.5))
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.5)
    for _ in range(3):
        inputs, targets = batch()
        loss = cross_entropy(by_hand(inputs), targets)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        values = model.train_step(batch(), wrapper)
        assert torch.equal(values["loss"], loss.detach())
    assert torch.equal(model.weight, by_hand.weight)


def test_forward_and_backward_run_in_the_wrappers_context() -> None:
    """The context is entered for the StepModel and left after the update."""
    tracer = Tracer()
    model = StepModel(nn.Linear(2, 3), cross_entropy)
    values = model.train_step(batch(), tracer)
    (enter, entered_for), loss, leave = tracer.seen
    assert (enter, leave) == ("enter", "leave")
    assert entered_for is model
    assert loss.requires_grad
    assert not values["loss"].requires_grad


def test_named_losses_are_summed_and_returned() -> None:
    """Of a mapping the entries called loss are differentiated, all are returned."""
    tracer = Tracer()

    def losses(outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {"loss_a": outputs.sum(), "b_loss": outputs.sum() * 2, "n": targets}

    model = StepModel(nn.Linear(2, 3), losses)
    values = model.train_step(batch(), tracer)
    assert list(values) == ["loss", "loss_a", "b_loss", "n"]
    assert torch.equal(tracer.seen[1], values["loss_a"] + values["b_loss"])


@pytest.mark.parametrize("step", ["val_step", "test_step"])
def test_evaluation_gives_outputs_and_targets(step: str) -> None:
    """One element for the whole batch."""
    net = nn.Linear(2, 3)
    inputs, targets = batch()
    (sample,) = getattr(StepModel(net, cross_entropy), step)([inputs, targets])
    assert list(sample) == ["outputs", "targets"]
    assert torch.equal(sample["outputs"], net(inputs))
    assert sample["targets"] is targets


def test_preprocess_takes_the_batch_apart() -> None:
    """Batches of another form are made a pair by the user's function."""
    net = nn.Linear(2, 3)
    model = StepModel(
        net, cross_entropy, lambda data: (data["image"].flatten(1), data["label"])
    )
    inputs, targets = batch()
    (sample,) = model.val_step({"image": inputs[:, :, None], "label": targets})
    assert torch.equal(sample["outputs"], net(inputs))


def test_targets_may_be_missing() -> None:
    """Data without labels is predicted, None standing for them."""
    model = StepModel(nn.Linear(2, 3), cross_entropy, lambda data: (data, None))
    assert model.test_step(batch()[0])[0]["targets"] is None


@pytest.mark.parametrize("preprocess", [None, tuple])
def test_the_batch_is_moved_to_the_module(preprocess: Any) -> None:
    """Tensors go where the parameters are, with and without a preprocess."""
    model = StepModel(nn.Linear(2, 3).to(META), cross_entropy, preprocess)
    (sample,) = model.val_step(batch())
    assert sample["outputs"].device == sample["targets"].device == META


def test_a_module_without_tensors_takes_the_batch_where_it_is() -> None:
    """Nothing to move to is no error."""
    model = StepModel(nn.ReLU(), mse_loss)
    inputs, targets = batch()
    assert model.val_step((inputs, targets))[0]["targets"] is targets


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"image": 1, "label": 2}, "a dict with the keys 'image', 'label', but"),
        ([1, 2, 3], "a list of 3, but"),
        (torch.zeros(2, 5), r"a Tensor of shape \(2, 5\), but"),
        ("ab", "a str, but"),
    ],
    ids=["dict", "three", "tensor", "text"],
)
def test_a_batch_that_is_no_pair_is_told(data: Any, expected: str) -> None:
    """What was found, what is needed, and preprocess as the cure."""
    model = StepModel(nn.Linear(2, 3), cross_entropy)
    with pytest.raises(DataError, match=f"the batch is {expected} .*pass preprocess="):
        model.val_step(data)


def test_a_preprocess_that_returns_no_pair_is_told() -> None:
    """The blame is not the batch's."""
    model = StepModel(nn.Linear(2, 3), cross_entropy, lambda data: data[0])
    with pytest.raises(DataError, match=r"preprocess returned a Tensor of shape"):
        model.val_step(batch())


def test_a_loss_of_the_wrong_form_is_told() -> None:
    """A loss that is not reduced never reaches backward."""
    tracer = Tracer()
    model = StepModel(nn.Linear(2, 3), nn.CrossEntropyLoss(reduction="none"))
    with pytest.raises(ModelError, match=r"a tensor of shape \(6,\)"):
        model.train_step(batch(), tracer)
    assert len(tracer.seen) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"module": nn.Linear}, r"module is Linear, not a torch\.nn\.Module"),
        ({"module": 3}, r"module is 3, not a torch\.nn\.Module"),
        ({"loss": None}, "loss is None, but a function or module"),
        ({"preprocess": "x"}, "preprocess is 'x', but a function or module"),
    ],
    ids=["class", "int", "loss", "preprocess"],
)
def test_parts_of_the_wrong_kind_are_told(
    arguments: dict[str, Any], expected: str
) -> None:
    """Each argument is looked at when the model is made."""
    given = {"module": nn.Linear(2, 3), "loss": cross_entropy, **arguments}
    with pytest.raises(ModelError, match=expected):
        StepModel(**given)


def test_a_loss_without_state_adds_no_names() -> None:
    """A loss that is a module but has no tensors does not show in a file."""
    net = nn.Linear(2, 3)
    state = StepModel(net, nn.CrossEntropyLoss()).state_dict()
    assert list(state) == list(net.state_dict())


def test_the_state_of_a_loss_is_saved_and_loaded() -> None:
    """What a loss has learned is part of the model."""

    def make(weight: float) -> StepModel:
        loss = nn.CrossEntropyLoss(weight=torch.full((3,), weight))
        return StepModel(nn.Linear(2, 3), loss)

    source, target = make(0.25), make(1.0)
    assert list(source.state_dict()) == ["weight", "bias", "loss.weight"]
    assert "loss.weight" in dict(source.named_buffers())
    target.load_state_dict(source.state_dict())
    assert torch.equal(target.get_buffer("loss.weight"), torch.full((3,), 0.25))


def test_weights_of_the_bare_module_leave_the_loss_alone() -> None:
    """A file that knows no loss loads strictly; one that lacks half of it does not."""
    loss = nn.BCEWithLogitsLoss(weight=torch.ones(3), pos_weight=torch.ones(3))
    model = StepModel(nn.Linear(2, 3), loss)
    state = nn.Linear(2, 3).state_dict()
    model.load_state_dict(state)
    assert torch.equal(model.weight, state["weight"])
    state["loss.weight"] = torch.zeros(3)
    with pytest.raises(CheckpointError, match=r"missing \['loss\.pos_weight'\]"):
        model.load_state_dict(state)


def test_a_name_that_two_parts_have_is_refused() -> None:
    """A file could not tell the module's loss from the loss passed beside it."""
    net = nn.Module()
    net.loss = nn.CrossEntropyLoss(weight=torch.ones(3))
    with pytest.raises(ModelError, match=r"'loss\.weight' is in the state of Module"):
        StepModel(net, nn.CrossEntropyLoss(weight=torch.ones(3)))


def test_the_model_is_found_by_name() -> None:
    """A config may say StepModel."""
    made = MODELS.build({"type": "StepModel", "loss": mse_loss}, module=nn.Linear(1, 1))
    assert isinstance(made, StepModel)
