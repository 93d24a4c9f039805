"""BaseModel: three steps over one forward."""

from __future__ import annotations

import copy
from collections import namedtuple
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from engine.errors import ModelError, UnknownNameError
from engine.model import BaseDataPreprocessor, BaseModel, ImgDataPreprocessor
from engine.optim import OptimWrapper

if TYPE_CHECKING:
    from collections.abc import Iterator


class Classifier(BaseModel):
    """Two features, three classes; keeps what ``forward`` was given."""

    def __init__(self, data_preprocessor: Any = None, init_cfg: Any = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.linear = nn.Linear(2, 3)
        self.seen: list[Any] = []

    def forward(
        self, inputs: Any, data_samples: Any = None, mode: str = "tensor"
    ) -> Any:
        self.seen.append((inputs, data_samples, mode))
        outputs = self.linear(inputs)
        if mode == "loss":
            return {
                "loss_class": cross_entropy(outputs, data_samples),
                "loss_size": [outputs.square(), outputs.abs().mean()],
                "accuracy": (outputs.argmax(1) == data_samples).float().mean(),
            }
        return list(outputs) if mode == "predict" else outputs


def batch() -> dict[str, Tensor]:
    """Six samples."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(6, 2, generator=generator)
    return {"inputs": inputs, "data_samples": torch.arange(6) % 3}


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
    """Three steps leave the very weights of torch's own lines."""
    model = Classifier()
    by_hand = copy.deepcopy(model)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.5))
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.5)
    for _ in range(3):
        losses = by_hand(**batch(), mode="loss")
        square, absolute = losses["loss_size"]
        loss = losses["loss_class"] + (square.mean() + absolute)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        values = model.train_step(batch(), wrapper)
        assert torch.equal(values["loss"], loss.detach())
    assert torch.equal(model.linear.weight, by_hand.linear.weight)


def test_logged_values_are_detached_scalars_with_the_loss_in_front() -> None:
    """Nothing is read from the device: each value is still a tensor."""
    values = Classifier().train_step(batch(), Tracer())
    assert list(values) == ["loss", "loss_class", "loss_size", "accuracy"]
    for value in values.values():
        assert isinstance(value, Tensor)
        assert value.shape == ()
        assert not value.requires_grad


def test_only_forward_runs_in_the_wrappers_context() -> None:
    """Backward follows outside, where autocast is off again."""
    tracer, model = Tracer(), Classifier()
    model.train_step(batch(), tracer)
    enter, leave, loss = tracer.seen
    assert enter == ("enter", model)
    assert leave == "leave"
    assert loss.requires_grad


def test_steps_say_mode_and_training() -> None:
    """Training asks for losses, validation and test for predictions."""
    seen: list[bool] = []

    class Preprocessor(BaseDataPreprocessor):
        def forward(self, data: Any, training: bool = False) -> Any:
            seen.append(training)
            return super().forward(data, training)

    model = Classifier(Preprocessor())
    model.train_step(batch(), Tracer())
    predictions = [model.val_step(batch()), model.test_step(batch())]
    assert [mode for _, _, mode in model.seen] == ["loss", "predict", "predict"]
    assert seen == [True, False, False]
    assert [len(each) for each in predictions] == [6, 6]


def test_a_batch_is_the_arguments_of_forward() -> None:
    """Mappings go by name; lists, tuples and namedtuples by position."""
    model, data = Classifier(), batch()
    pair = namedtuple("pair", ["image", "label"])  # noqa: PYI024 - what a dataset has
    tensors = (data["inputs"], data["data_samples"])
    for form in (data, list(tensors), tensors, pair(*tensors)):
        model.val_step(form)
        inputs, samples, _ = model.seen[-1]
        assert torch.equal(inputs, tensors[0])
        assert torch.equal(samples, tensors[1])


def test_a_batch_of_another_form_is_refused() -> None:
    """A bare tensor is no set of arguments."""
    with pytest.raises(ModelError, match="preprocessor returned a Tensor, but"):
        Classifier().val_step(torch.rand(6, 2))


def test_losses_of_another_form_name_the_model() -> None:
    """The note says whose forward returned them."""

    class Wrong(Classifier):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return {"accuracy": torch.ones(())}

    with pytest.raises(ModelError, match="names of what is to be") as caught:
        Wrong().train_step(batch(), Tracer())
    assert caught.value.__notes__ == ["in Wrong.forward, mode='loss'"]


def test_a_preprocessor_is_a_module_a_spec_or_none() -> None:
    """A spec is built from the models' registry; without one, batches are moved."""
    given = BaseDataPreprocessor()
    assert Classifier(given).data_preprocessor is given
    spec = {"type": "ImgDataPreprocessor", "mean": [1.0], "std": [2.0]}
    assert isinstance(Classifier(spec).data_preprocessor, ImgDataPreprocessor)
    assert type(Classifier().data_preprocessor) is BaseDataPreprocessor
    with pytest.raises(ModelError, match="data_preprocessor is 3"):
        Classifier(3)
    with pytest.raises(UnknownNameError, match="ImgDataPreprocessor"):
        Classifier({"type": "ImgDataPreproccessor"})


def test_the_preprocessor_moves_with_the_model() -> None:
    """Batches go where the weights are, over any of torch's ways to move a model."""
    model = Classifier({"type": "ImgDataPreprocessor"})
    preprocessor = model.data_preprocessor
    assert isinstance(preprocessor, BaseDataPreprocessor)
    assert model.to("meta") is model
    assert preprocessor.device == torch.device("meta")
    model.to_empty(device="cpu")
    assert preprocessor.device == torch.device("cpu")
    nn.Sequential(model).to(device="meta", dtype=torch.float64)
    assert preprocessor.device == torch.device("meta")


def test_a_change_of_dtype_moves_nothing() -> None:
    """``half()`` leaves the preprocessor where it is."""
    model = Classifier().to("meta").half()
    assert model.data_preprocessor.device == torch.device("meta")


def test_a_preprocessor_adds_nothing_to_the_state() -> None:
    """A file of weights has the model's own names only."""
    model = Classifier(
        {"type": "ImgDataPreprocessor", "mean": [1, 2, 3], "std": [1, 1, 1]}
    )
    assert list(model.state_dict()) == ["linear.weight", "linear.bias"]


def test_forward_must_be_written() -> None:
    """The base itself cannot be made."""
    with pytest.raises(TypeError, match="BaseModel with"):
        BaseModel()  # type: ignore[abstract] # the mistake
