"""A run's state to a checkpoint, and back."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from engine import Hook
from engine.checkpoint import Parts, capture, examine, restore
from engine.checkpoint.format import find_foreign
from engine.errors import CheckpointError, InexactResumeError, SerializationError
from engine.hooks import HookSet
from engine.optim import OptimWrapper
from engine.state import ResumeReport, RunState, seed_everything
from tests.runs import bits


class Remembers(Hook):
    """A hook with memory."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def state_dict(self) -> dict[str, int]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, int], /) -> None:
        self.value = state["value"]


def make(seed: int = 0) -> tuple[RunState, Parts, HookSet]:
    """A run of fresh objects."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    wrapper = OptimWrapper(torch.optim.Adam(model.parameters()), accumulative_counts=2)
    schedule = torch.optim.lr_scheduler.StepLR(wrapper.optimizer, 2)
    parts = Parts(model=model, optimizer=wrapper, param_schedulers=[schedule])
    parts.track("own", torch.Generator().manual_seed(seed))
    hooks = HookSet(None)
    hooks.add(Remembers(seed))
    return RunState(seed=seed), parts, hooks


def advance(state: RunState, parts: Parts) -> None:
    """Three iterations: a step, and an open window."""
    for _ in range(3):
        parts.optimizer.update_params(parts.model(torch.rand(4, 2)).square().sum())
        state.progress.finish_iteration(4, 0)
    state.hub.update_scalar("train/loss", 0.5)


def test_everything_comes_back() -> None:
    """Weights, buffers, optimizer, gradients, schedules, hub, state, hooks, parts."""
    state, parts, hooks = make(3)
    advance(state, parts)
    saved = capture(state, parts, hooks, meta={"experiment_name": "toy"})
    kept = bits(saved)
    fresh = make(4)
    assert ResumeReport(examine(saved, *fresh[1:])).is_exact
    restore(saved, *fresh)
    # Where the window stands follows from the iterations done: the trainer says it.
    fresh[1].optimizer.initialize_count_status(fresh[1].model, fresh[0].iteration, -1)
    again = capture(*fresh, meta={"experiment_name": "toy"})
    for checkpoint in (again, saved):
        checkpoint["meta"].pop("time")
    assert bits(again["engine"]) == kept["engine"]
    assert bits(again) == bits(saved)
    assert saved["engine"]["gradients"] is not None


def test_its_keys_are_mmengines_and_ours() -> None:
    """As checkpoint/format.py lists them; all plain."""
    state, parts, hooks = make()
    advance(state, parts)
    saved = capture(state, parts, hooks, meta={"version": "1"})
    assert set(saved) == {
        "meta",
        "state_dict",
        "optimizer",
        "param_schedulers",
        "message_hub",
        "engine",
    }
    assert {**saved["meta"], "time": ""} == {
        "epoch": 0,
        "iter": 3,
        "seed": 0,
        "time": "",
        "version": "1",
    }
    assert find_foreign(saved) is None


@pytest.mark.parametrize("generator", ["python", "numpy", "torch"])
def test_each_global_generator_comes_back(generator: str) -> None:
    """What is drawn after a restore is what was drawn after the capture."""

    def draw() -> float:
        if generator == "python":
            return random.random() + random.gauss(0, 1)  # gauss keeps a second number
        if generator == "numpy":
            return float(np.random.rand() + np.random.randn())
        return float(torch.rand(()))

    state, parts, hooks = make()
    seed_everything(5)
    draw()
    saved = capture(state, parts, hooks)
    expected = [draw() for _ in range(5)]
    seed_everything(6)
    restore(saved, *make())
    assert [draw() for _ in range(5)] == expected


def test_without_the_optimizer_it_cannot_be_resumed() -> None:
    """It says what is missing, and what to pass to go on nevertheless."""
    state, parts, hooks = make()
    saved = capture(state, parts, hooks, save_optimizer=False)
    assert "optimizer" not in saved
    with pytest.raises(
        CheckpointError, match=r"has no 'optimizer'.*resume_optimizer=False"
    ):
        restore(saved, *make())
    restore(saved, *make(), resume_optimizer=False)


def test_without_the_schedules_it_cannot_be_resumed() -> None:
    """Likewise."""
    state, parts, hooks = make()
    saved = capture(state, parts, hooks, save_param_scheduler=False)
    with pytest.raises(CheckpointError, match="resume_param_scheduler=False"):
        restore(saved, *make())
    restore(saved, *make(), resume_param_scheduler=False)


def test_another_model_is_refused() -> None:
    """By its keys, and by its shapes."""
    saved = capture(*make())
    for other in (nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(3, 2))):
        state, parts, hooks = make()
        parts.model = other
        with pytest.raises(CheckpointError, match="the weights do not fit Sequential"):
            restore(saved, state, parts, hooks)


def test_remarks_say_what_may_differ() -> None:
    """Another environment, a save inside a handler, parts and hooks that come or go."""
    state, parts, hooks = make()
    hooks.add(Remembers(), name="gone")
    parts.track("lost", np.random.default_rng(0))
    saved = capture(state, parts, hooks, at_safe_point=False)
    saved["engine"]["environment"]["threads"] = -1
    state, parts, hooks = make()
    hooks.add(Remembers(), name="new")
    parts.track("found", np.random.default_rng(0))
    report = ResumeReport(examine(saved, parts, hooks))
    for said in (
        "best effort: environment: threads was -1",
        "best effort: place: it was saved from inside a handler",
        "lost: hook 'new': it is new",
        "lost: hook 'gone': it is gone",
        "lost: 'found': it is new",
        "lost: 'lost': it is gone",
    ):
        assert said in str(report), said
    assert len(report.inexact) == 6
    with pytest.raises(InexactResumeError, match="lost: hook 'new'"):
        report.check_exact()
    restore(saved, state, parts, hooks)


@pytest.mark.parametrize("part", ["run_state", "randomness"])
def test_state_of_another_form_is_refused(part: str) -> None:
    """Not half taken over in silence."""
    saved: dict[str, Any] = capture(*make())
    saved["engine"][part] = {"format": 1}
    with pytest.raises(SerializationError, match=r"missing|expected"):
        restore(saved, *make())
