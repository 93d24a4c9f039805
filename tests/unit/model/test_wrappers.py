"""Wrappers of one rank on gloo: the model's steps, reduced."""

from __future__ import annotations

import copy
import pickle
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.futures import Future
from torch.nn.functional import mse_loss
from torch.nn.parallel import DistributedDataParallel

from engine.errors import ModelError
from engine.model import (
    BaseModel,
    MMDistributedDataParallel,
    MMSeparateDistributedDataParallel,
    StepModel,
    is_model_wrapper,
)
from engine.optim import OptimWrapper
from engine.registry import MODEL_WRAPPERS, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def group(tmp_path: Path) -> Iterator[None]:
    """A process group of one."""
    dist.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", world_size=1, rank=0
    )
    yield
    dist.destroy_process_group()


class Regression(BaseModel):
    """One layer and, if asked for, one that is not used."""

    def __init__(self, *, spare: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.spare = nn.Linear(1, 1) if spare else None

    def forward(
        self, inputs: Any, data_samples: Any = None, mode: str = "tensor"
    ) -> Any:
        outputs = self.linear(inputs)
        return {"loss": mse_loss(outputs, data_samples)} if mode == "loss" else outputs


def batch() -> dict[str, Tensor]:
    """Four samples."""
    generator = torch.Generator().manual_seed(0)
    return {
        "inputs": torch.rand(4, 2, generator=generator),
        "data_samples": torch.rand(4, 1, generator=generator),
    }


class Gradients:
    """Stands for an optimizer wrapper that only runs backward."""

    def optim_context(self, model: nn.Module) -> Any:
        return nullcontext()

    def update_params(self, loss: Tensor) -> None:
        torch.autograd.backward(loss)


def reductions(ddp: DistributedDataParallel) -> list[int]:
    """Fills with the index of each bucket that is reduced from now on."""
    seen: list[int] = []

    def reduce(bucket: Any) -> Future[Tensor]:
        seen.append(bucket.index())
        done: Future[Tensor] = Future()
        done.set_result(bucket.buffer())
        return done

    # torch compares a hook's annotations with its classes, and a lambda has none.
    register: Any = ddp.register_comm_hook
    register(None, lambda _state, bucket: reduce(bucket))
    return seen


def test_a_wrapped_step_gives_the_models_own_gradients() -> None:
    """And the values to log of its own ``train_step``."""
    bare = Regression()
    wrapped = MMDistributedDataParallel(copy.deepcopy(bare))
    ours = wrapped.train_step(batch(), Gradients())
    theirs = bare.train_step(batch(), Gradients())
    assert torch.equal(ours["loss"], theirs["loss"])
    for found, wanted in zip(wrapped.parameters(), bare.parameters(), strict=True):
        assert found.grad is not None
        assert wanted.grad is not None
        assert torch.equal(found.grad, wanted.grad)


def test_a_wrapped_step_reduces_gradients() -> None:
    """Each backward that ends a window of accumulation does, and no other."""
    wrapped = MMDistributedDataParallel(Regression())
    seen = reductions(wrapped)
    optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.1)
    wrapper = OptimWrapper(optimizer, accumulative_counts=2)
    counts = []
    for _ in range(4):
        wrapped.train_step(batch(), wrapper)
        counts.append(len(seen))
    assert counts == [0, 1, 1, 2]


def test_evaluation_is_the_models_own() -> None:
    """Its steps are called, without DDP."""
    model = Regression()
    wrapped = MMDistributedDataParallel(model)
    expected = model.val_step(batch())
    assert torch.equal(wrapped.val_step(batch()), expected)
    assert torch.equal(wrapped.test_step(batch()), expected)


def test_unused_parameters_are_looked_for_if_asked() -> None:
    """The warning names them before DDP stops the run."""
    wrapped = MMDistributedDataParallel(
        Regression(spare=True), detect_anomalous_params=True
    )
    with pytest.warns(UserWarning, match=r"depend on module\.spare\.weight"):
        wrapped.train_step(batch(), Gradients())


def test_a_plain_module_cannot_take_the_step() -> None:
    """The message shows what can."""
    wrapped = MMDistributedDataParallel(nn.Linear(1, 1))
    with pytest.raises(ModelError, match="Linear has no data_preprocessor, which a"):
        wrapped.train_step(batch(), Gradients())


def test_a_step_of_the_models_own_is_warned_of() -> None:
    """It would be left out in silence."""

    class Own(Regression):
        def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
            return super().train_step(data, optim_wrapper)

    with pytest.warns(UserWarning, match=r"does not call Own\.train_step"):
        MMDistributedDataParallel(Own())


def test_a_step_model_reduces_with_ddp_inside() -> None:
    """What the messages advise works."""
    inner = DistributedDataParallel(nn.Linear(2, 1))
    seen = reductions(inner)
    model = StepModel(inner, mse_loss)
    data = batch()
    model.train_step([data["inputs"], data["data_samples"]], Gradients())
    assert len(seen) == 1


# ------------------------------------------------------------------- separately


class Turns(nn.Module):
    """Two children that train in turns, and one that holds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 1)
        self.second = nn.Linear(2, 1)
        self.frozen = nn.Linear(1, 1).requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.first(inputs) + self.second(inputs)
        return outputs

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        for name in ("first", "second"):
            loss = getattr(self, name)(data["inputs"]).square().mean()
            optim_wrapper[name].update_params(loss)
        return {"loss": loss.detach()}

    def val_step(self, data: Any) -> Any:
        return self(data["inputs"])

    def test_step(self, data: Any) -> Any:
        return self(data["inputs"])


def test_each_child_reduces_its_own() -> None:
    """The model's own step runs, over children that are wrapped."""
    wrapped = MMSeparateDistributedDataParallel(Turns())
    children = dict(wrapped.module.named_children())
    assert type(children["frozen"]) is nn.Linear
    seen = {}
    for name in ("first", "second"):
        child = children[name]
        assert isinstance(child, MMDistributedDataParallel)
        seen[name] = reductions(child)
    wrapped.train_step(batch(), {"first": Gradients(), "second": Gradients()})
    assert seen == {"first": [0], "second": [0]}
    assert isinstance(wrapped, DistributedDataParallel)


def test_no_sync_holds_for_all_children() -> None:
    """Inside it nothing is reduced."""
    wrapped = MMSeparateDistributedDataParallel(Turns())
    first = wrapped.module.get_submodule("first")
    assert isinstance(first, DistributedDataParallel)
    seen = reductions(first)
    with wrapped.no_sync():
        wrapped.train_step(batch(), {"first": Gradients(), "second": Gradients()})
    assert seen == []


def test_modes_and_evaluation_reach_the_model() -> None:
    """``train`` and the steps are passed on, and it can be pickled."""
    wrapped = MMSeparateDistributedDataParallel(Turns())
    assert wrapped.eval() is wrapped
    assert not any(each.training for each in wrapped.modules())
    expected = wrapped(batch()["inputs"])
    assert torch.equal(wrapped.val_step(batch()), expected)
    assert torch.equal(wrapped.test_step(batch()), expected)


def test_a_wrapper_without_wrapped_children_can_be_pickled() -> None:
    """Its base's way needs what only its base has."""
    wrapped = MMSeparateDistributedDataParallel(nn.Sequential(nn.ReLU()))
    other = pickle.loads(pickle.dumps(wrapped))  # noqa: S301 - our own bytes
    assert isinstance(other.module, nn.Sequential)


# ------------------------------------------------------------- telling them apart


def test_wrappers_are_told_from_models() -> None:
    """Ours and torch's are wrappers; models, and what only contains one, are not."""
    for wrapper in (
        nn.DataParallel(nn.Linear(1, 1)),
        DistributedDataParallel(nn.Linear(1, 1)),
        MMDistributedDataParallel(Regression()),
        MMSeparateDistributedDataParallel(Turns()),
    ):
        assert is_model_wrapper(wrapper)
        assert not is_model_wrapper(nn.Sequential(wrapper))
    assert not is_model_wrapper(Regression())


def test_another_registry_and_its_children_count() -> None:
    """Classes do, functions do not."""

    class Shell(nn.Module):
        pass

    parent = Registry("wrapper", scope="parent")
    child = Registry("wrapper", parent=parent, scope="child")
    child.register_module(module=Shell)
    parent.register_module(name="made", module=lambda model: model)
    assert is_model_wrapper(Shell(), parent)
    assert not is_model_wrapper(nn.DataParallel(nn.Linear(1, 1)), parent)
    assert not is_model_wrapper(Shell())


def test_wrappers_are_built_by_name() -> None:
    """As ``model_wrapper_cfg`` names them."""
    for name in (
        "DataParallel",
        "DistributedDataParallel",
        "MMDistributedDataParallel",
    ):
        built = MODEL_WRAPPERS.build({"type": name}, module=nn.Linear(1, 1))
        assert type(built).__name__ == name
