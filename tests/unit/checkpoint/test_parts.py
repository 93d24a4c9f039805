"""The parts of a run that have memory."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from engine.checkpoint import Parts
from engine.errors import CheckpointError
from engine.optim import OptimWrapper


class Counter:
    """Counts, and remembers."""

    def __init__(self) -> None:
        self.count = 0

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.count = state["count"]


def test_a_part_needs_memory() -> None:
    """Both methods; the message names what was given."""
    with pytest.raises(CheckpointError, match="cannot track 'x': an int has no state"):
        Parts().track("x", 3)


def test_a_name_belongs_to_one_part() -> None:
    """The same part twice is fine."""
    parts, counter = Parts(), Counter()
    parts.track("x", counter)
    parts.track("x", counter)
    with pytest.raises(CheckpointError, match="'x' is tracked already"):
        parts.track("x", Counter())


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.Generator().manual_seed(1),
        lambda: np.random.default_rng(1),
        lambda: np.random.Generator(np.random.MT19937(1)),
        lambda: random.Random(1),
    ],
)
def test_generators_are_parts(make: Any) -> None:
    """Of every kind; what they draw after a restore is what they drew."""

    def draw(generator: Any) -> float:
        if isinstance(generator, torch.Generator):
            return torch.rand((), generator=generator).item()
        return float(generator.random())

    parts, generator = Parts(), make()
    parts.track("augment", generator)
    draw(generator)
    saved = parts.others["augment"].state_dict()
    expected = [draw(generator) for _ in range(3)]
    other, fresh = Parts(), make()
    other.track("augment", fresh)
    other.others["augment"].load_state_dict(saved)
    assert [draw(fresh) for _ in range(3)] == expected


def sgd() -> torch.optim.SGD:
    """An optimizer of one parameter."""
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


def test_optimizers_are_found_in_wrappers_and_mappings() -> None:
    """In order, however they are wrapped."""
    one, two, three = sgd(), sgd(), sgd()
    assert list(Parts(optimizer=one).optimizers()) == [one]
    assert list(Parts(optimizer=OptimWrapper(one)).optimizers()) == [one]
    several = {"a": OptimWrapper(two), "b": three}
    assert list(Parts(optimizer=several).optimizers()) == [two, three]
    assert list(Parts().optimizers()) == []


def test_schedules_in_a_list_come_back() -> None:
    """In their order."""
    parts = Parts(param_schedulers=[Counter(), Counter()])
    saved = [{"count": 3}, {"count": 4}]
    parts.load_schedulers(saved)
    assert parts.schedulers_state() == saved


def test_schedules_by_optimizer_come_back() -> None:
    """Under the optimizers' names."""
    parts = Parts(param_schedulers={"a": [Counter()], "b": []})
    saved = {"a": [{"count": 3}], "b": []}
    parts.load_schedulers(saved)
    assert parts.schedulers_state() == saved


@pytest.mark.parametrize(
    ("mine", "saved", "said"),
    [
        ([Counter()], [], "the run has 1, the checkpoint 0"),
        ([Counter()], {"a": [{}]}, r"has 1, the checkpoint \{'a': 1\}"),
        ({"a": [Counter()]}, {"b": [{}]}, r"\{'a': 1\}, the checkpoint \{'b': 1\}"),
        ({"a": [Counter()]}, {"a": []}, r"\{'a': 1\}, the checkpoint \{'a': 0\}"),
    ],
)
def test_other_schedules_are_refused(mine: Any, saved: Any, said: str) -> None:
    """Before any of them is touched."""
    with pytest.raises(CheckpointError, match=f"{said}.*resume_param_scheduler=False"):
        Parts(param_schedulers=mine).load_schedulers(saved)


def test_gradients_are_the_wrappers_business() -> None:
    """A bare optimizer has no window; a wrapper keeps those of an open one."""
    assert Parts(optimizer=sgd()).gradients(1) is None
    Parts(optimizer=sgd()).load_gradients(None)
    weight = torch.nn.Parameter(torch.zeros(1))
    wrapper = OptimWrapper(torch.optim.SGD([weight], lr=0.1), accumulative_counts=2)
    wrapper.update_params((weight * 4).sum())
    parts = Parts(optimizer=wrapper)
    saved = parts.gradients(1)
    weight.grad = None
    parts.load_gradients(saved)
    assert weight.grad is not None
    assert weight.grad.item() == 2.0


def test_any_optimizer_like_object_without_an_inner_one_is_passed_over() -> None:
    """Its steps cannot be watched, that is all."""
    assert list(Parts(optimizer=SimpleNamespace()).optimizers()) == []


def test_a_window_of_the_users_own_is_kept_too() -> None:
    """A bare optimizer without a step in the last iteration has some to keep."""
    weight = torch.nn.Parameter(torch.zeros(2))
    parts = Parts(optimizer=torch.optim.SGD([weight], lr=0.1))
    weight.grad = torch.ones(2)
    parts.last_step = 4  # the step of iteration index 4, the fifth
    assert parts.gradients(5) is None
    saved = parts.gradients(6)
    weight.grad = None
    parts.load_gradients(saved)
    assert weight.grad is not None
    assert weight.grad.tolist() == [1.0, 1.0]
