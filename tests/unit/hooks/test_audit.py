"""Memory that no checkpoint carries ends an audited run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from torch import nn

from engine import CheckpointHook, Hook, StepModel
from engine.errors import HookError
from engine.hooks import AuditHook, EMAHook
from tests.runs import Recorder, RunPlan, make_runner

if TYPE_CHECKING:
    from pathlib import Path

    from engine.state import RunContext

PLAN = RunPlan(max_epochs=2, accumulate=2, watched=True)


class Forgets(Hook):
    """Counts, and tells nobody."""

    def __init__(self) -> None:
        self.count = 0

    def after_train_iter(self, runner: RunContext, *args: Any, **more: Any) -> None:
        self.count += 1


class HalfRemembers(Forgets):
    """Saves something else."""

    def state_dict(self) -> dict[str, Any]:
        return {"other": 1}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        assert state == {"other": 1}


class Caches(Forgets):
    """Says that its count is no memory."""

    transient: ClassVar[frozenset[str]] = frozenset({"count"})


class Counting(nn.Linear):
    """A module that counts its calls in a plain attribute."""

    def __init__(self) -> None:
        super().__init__(6, 2)
        self.calls = 0

    def forward(self, inputs: Any) -> Any:
        self.calls += 1
        return super().forward(inputs.flatten(1))


class CountingAndSaving(Counting):
    """And saves the count."""

    def get_extra_state(self) -> Any:
        return self.calls

    def set_extra_state(self, state: Any) -> None:
        self.calls = state


def audit(tmp_path: Path, *hooks: Hook, **changes: Any) -> None:
    """Train with these hooks under an audit."""
    runner = make_runner(PLAN, tmp_path, custom_hooks=[*hooks, AuditHook()], **changes)
    runner.train()


def test_the_shipped_hooks_pass(tmp_path: Path) -> None:
    """All of them at once, with validations, saves, averages and logs."""
    best = CheckpointHook(interval=1, save_best="mean", rule="less", max_keep_ckpts=2)
    audit(tmp_path, best, EMAHook(), Recorder(), Caches())


@pytest.mark.parametrize("kind", [Forgets, HalfRemembers])
def test_a_forgetful_hook_is_named(kind: type[Forgets], tmp_path: Path) -> None:
    """At once, with its attribute and what to do."""
    with pytest.raises(HookError, match=f"hook '{kind.__name__}' changed its count at"):
        audit(tmp_path, kind())


def test_a_forgetful_module_is_named(tmp_path: Path) -> None:
    """One that has get_extra_state is fine."""

    def model(inner: nn.Module) -> StepModel:
        return StepModel(
            inner, nn.functional.cross_entropy, preprocess=lambda batch: batch[1:]
        )

    audit(tmp_path / "a", model=model(CountingAndSaving()))
    with pytest.raises(HookError, match=r"module 'Counting' changed its calls at iter"):
        audit(tmp_path / "b", model=model(Counting()))
