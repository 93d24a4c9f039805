"""Law: a run that meets batches of nan ends finite, and each resume is that run."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine import CheckpointHook
from engine.checkpoint import read
from engine.errors import ConfigError, NonFiniteError
from engine.hooks import NanGuardHook
from tests.runs import Recorder, RunPlan, Samples, make_runner, story

if TYPE_CHECKING:
    from engine import Runner


class Poisoned(Samples):
    """Points, one of which is nan."""

    def __init__(self, size: int, poison: int | None) -> None:
        super().__init__(size, augment=True)
        if poison is not None:
            self.points[poison] = float("nan")


def guarded(
    plan: RunPlan, folder: Path, guard: NanGuardHook, *, poison: int | None, **more: Any
) -> Runner:
    """A run of which one sample is nan."""
    loader = {
        "dataset": Poisoned(plan.size, poison),
        "batch_size": plan.batch_size,
        "shuffle": True,
        "collate_fn": "default_collate",
        "num_workers": plan.workers,
    }
    hooks = [Recorder(), guard, CheckpointHook(interval=2, by_epoch=False)]
    return make_runner(
        plan, folder, train_dataloader=loader, custom_hooks=hooks, **more
    )


def is_finite(runner: Runner) -> bool:
    """Whether all weights and buffers are."""
    return all(one.isfinite().all() for one in runner.model.state_dict().values())


@given(
    plan=st.builds(
        RunPlan,
        max_epochs=st.just(3),
        size=st.integers(7, 11),
        batch_size=st.sampled_from([2, 3]),
        accumulate=st.integers(1, 3),
        seed=st.integers(0, 9),
        val_interval=st.sampled_from([None, 1]),
    )
    | st.builds(
        RunPlan,
        max_epochs=st.none(),
        max_iters=st.just(9),
        size=st.integers(7, 9),
        batch_size=st.just(2),
        accumulate=st.integers(1, 2),
        seed=st.integers(0, 9),
        val_interval=st.sampled_from([None, 4]),
    ),
    poison=st.integers(0, 6),
    interval=st.integers(1, 4),
    policy=st.sampled_from(["rollback", "skip"]),
    which=st.integers(0, 9),
)
def test_the_run_ends_finite_and_resumes_so(
    plan: RunPlan, poison: int, interval: int, policy: str, which: int
) -> None:
    """From any of its checkpoints on it ends as the run that was not cut."""
    folder = Path(tempfile.mkdtemp())

    def guard() -> NanGuardHook:
        return NanGuardHook(policy, interval=interval, max_rollbacks=9)

    try:
        whole = guarded(plan, folder / "whole", guard(), poison=poison)
        whole.train()
        assert is_finite(whole)
        assert plan.max_iters or bool(whole.state.left_out) == (policy == "rollback")
        lost = whole.state.iterations_left_out
        assert whole.state.iteration == plan.iterations - lost
        files = sorted((folder / "whole").glob("*.pth"))
        for file in [files[which % len(files)]]:
            for name, value in read(file)["state_dict"].items():
                # Inside a window that will be left out, buffers are yet to be put back.
                inside = policy == "skip" and plan.accumulate > 1 and "running" in name
                assert inside or value.isfinite().all(), name
            rest = guarded(
                plan,
                folder / file.stem,
                guard(),
                poison=poison,
                load_from=file,
                resume=True,
            )
            rest.train()
            assert story(rest) == story(whole), file
    finally:
        shutil.rmtree(folder)


def test_what_is_left_out_is_read_no_more(tmp_path: Path) -> None:
    """The unpoisoned batches are trained on, each once; the others never."""
    plan = RunPlan(max_epochs=2, size=8, batch_size=2, augment=False)
    runner = guarded(plan, tmp_path, NanGuardHook("rollback", interval=3), poison=5)
    runner.train()
    (hook,) = [one for one in runner.hooks if isinstance(one, Recorder)]
    ids = [event[4] for event in hook.events if event[0] == "iteration"]
    assert len(ids) == 6
    assert all(5 not in batch for batch in ids)
    assert [pair[0] for pair in runner.state.left_out] == [0, 1]
    for data_pass in (0, 1):
        three = ids[3 * data_pass : 3 * data_pass + 3]
        seen = sorted(number for batch in three for number in batch)
        assert len(set(seen)) == len(seen) == 6


def test_stop_saves_nothing_that_is_ruined(tmp_path: Path) -> None:
    """The error names the batch; every checkpoint is finite."""
    plan = RunPlan(max_epochs=2, size=8, batch_size=2)
    runner = guarded(plan, tmp_path, NanGuardHook("stop", interval=50), poison=5)
    with pytest.raises(NonFiniteError, match=r"the loss is not finite in iteration \d"):
        runner.train()
    for file in tmp_path.glob("*.pth"):
        saved = read(file)["state_dict"]
        assert all(value.isfinite().all() for value in saved.values())


def test_rollbacks_are_bounded(tmp_path: Path) -> None:
    """Where every batch is bad, the run ends with an error."""
    plan = RunPlan(max_epochs=2, size=8, batch_size=2, seed=1)
    runner = guarded(
        plan, tmp_path, NanGuardHook("rollback", interval=1, max_rollbacks=2), poison=0
    )
    dataset = runner.train_dataloader.dataset
    dataset.points[:] = torch.nan
    with pytest.raises(NonFiniteError, match="went back 2 times already"):
        runner.train()


def test_skips_are_bounded(tmp_path: Path) -> None:
    """Likewise."""
    plan = RunPlan(max_epochs=2, size=8, batch_size=2)
    runner = guarded(plan, tmp_path, NanGuardHook("skip", max_skips=3), poison=0)
    runner.train_dataloader.dataset.points[:] = torch.nan
    with pytest.raises(NonFiniteError, match="each of the last 3 steps"):
        runner.train()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"policy": "skpi"}, "give one of stop, skip, rollback"),
        ({"interval": 0}, "interval=0: give a whole number of at least 1"),
        ({"max_skips": True}, "max_skips=True"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], said: str) -> None:
    """Each is told."""
    with pytest.raises(ConfigError, match=said):
        NanGuardHook(**arguments)
