"""A seed is a run: the same one the same, another another. Watching changes nothing."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Hook, Runner
from tests.runs import (
    Recorder,
    RunPlan,
    make_runner,
    recorder,
    story,
    train,
)

if TYPE_CHECKING:
    from engine.state import RunContext

seeds = st.integers(0, 2**32 - 1)
PLAN = RunPlan(max_epochs=3, size=9, batch_size=4, val_interval=None)


def training(runner: Runner) -> Any:
    """What training alone has done: its events, weights, optimizer, generators."""
    told = story(runner)
    events = [event for event in told["events"] if event[0] != "validation"]
    kept = {name: told[name] for name in ("model", "optimizer", "randomness")}
    return {"events": events, **kept}


@settings(max_examples=10)
@given(seed=seeds)
def test_the_same_seed_is_the_same_run(seed: int) -> None:
    """Twice in one process, whatever was drawn in between."""
    plan = evolve(PLAN, seed=seed, max_epochs=1)
    with TemporaryDirectory() as folder:
        first = story(train(plan, Path(folder) / "first"))
        torch.rand(7)
        assert story(train(plan, Path(folder) / "second")) == first


@settings(max_examples=10)
@given(pair=st.lists(seeds, min_size=2, max_size=2, unique=True))
def test_another_seed_is_another_run(pair: list[int]) -> None:
    """Other losses, other orders, other noise."""
    with TemporaryDirectory() as folder:
        one, two = (
            recorder(train(evolve(PLAN, seed=seed), Path(folder) / str(seed))).events
            for seed in pair
        )
    differs = [ours[3:6] for ours in one if ours[0] == "iteration"]
    for ours, theirs in zip(
        differs, [e for e in two if e[0] == "iteration"], strict=True
    ):
        assert ours[0] != theirs[3], "the losses"
        assert ours[2] != theirs[5], "the augmented samples"
    ids = [[e[4] for e in events if e[0] == "iteration"] for events in (one, two)]
    assert ids[0] != ids[1], "the order of three epochs"


def test_a_drawn_seed_differs_and_is_recorded(tmp_path: Path) -> None:
    """Without a seed each run has its own, and giving that one repeats the run."""
    plan = evolve(PLAN, seed=None)
    one, two = train(plan, tmp_path / "one"), train(plan, tmp_path / "two")
    assert one.seed != two.seed
    again = train(evolve(plan, seed=one.seed), tmp_path / "again")
    assert story(again) == story(one)


class Nosy(Hook):
    """Draws random numbers wherever it looks at a validation."""

    def after_val_iter(self, runner: RunContext, *_: object, **__: object) -> None:
        torch.rand(3)

    def after_val_epoch(self, runner: RunContext, *_: object, **__: object) -> None:
        torch.rand(3)


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(PLAN, id="epochs"),
        pytest.param(evolve(PLAN, max_epochs=None, max_iters=8), id="iterations"),
        pytest.param(evolve(PLAN, accumulate=2, workers=2), id="workers-windows"),
    ],
)
def test_watching_changes_nothing_in_training(plan: RunPlan, tmp_path: Path) -> None:
    """Validations, loggers, the visualizer, hooks of validations, no checkpoints."""
    alone = training(train(plan, tmp_path / "alone"))
    for interval in (1, 3):
        watched = evolve(plan, val_interval=interval)
        runner = make_runner(watched, tmp_path / f"interval{interval}")
        runner.register_hook(Nosy())
        runner.train()
        assert training(runner) == alone, f"val_interval={interval}"
        assert [event for event in recorder(runner).events if event[0] == "validation"]
    logged = train(evolve(plan, watched=True, val_interval=1), tmp_path / "logged")
    assert training(logged) == alone, "loggers and visualizer"
    unsaved = train(plan, tmp_path / "unsaved", custom_hooks=[Recorder()])
    assert training(unsaved) == alone, "no checkpoints"
