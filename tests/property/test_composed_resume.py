"""A run composed in code resumes as exactly as one of the Runner's."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import run_plans
from tests.toys import ToyPlan, ToyResult, assert_same, toy_run


def assert_goes_on(parts: list[ToyResult], whole: ToyResult) -> None:
    """Parts of a run, one behind the other, are the run that was never stopped."""
    losses = [loss for part in parts for loss in part.losses]
    ids = [batch for part in parts for batch in part.ids]
    metrics = [one for part in parts for one in part.metrics]
    assert ids == whole.ids
    assert losses == whole.losses
    assert metrics == whole.metrics
    last = parts[-1]
    assert_same(last.weights, whole.weights, "weights")
    assert_same(last.optimizer, whole.optimizer, "optimizer")
    assert_same(last.generators, whole.generators, "generators")
    assert_same(last.state, whole.state, "state")


def run_in_parts(plan: ToyPlan, cuts: list[int], folder: Path) -> list[ToyResult]:
    """Stop after each number of iterations, and go on to the end."""
    parts: list[ToyResult] = []
    saved = None
    for cut in (*cuts, None):
        part = toy_run(plan, work_dir=folder, stop_after=cut, resume_from=saved)
        parts.append(part)
        saved = part.checkpoint
    return parts


@given(plan=run_plans(), data=st.data())
def test_stopping_anywhere_changes_nothing(plan: ToyPlan, data: st.DataObject) -> None:
    """Once or twice, before the first iteration, between any two, after the last."""
    cut = st.integers(0, plan.iterations)
    cuts = data.draw(st.lists(cut, min_size=1, max_size=2).map(sorted), label="stops")
    with TemporaryDirectory() as folder:
        whole = toy_run(plan, work_dir=Path(folder))
        assert_goes_on(run_in_parts(plan, cuts, Path(folder)), whole)


@pytest.mark.parametrize("workers", [(0, 2), (2, 0), (2, 2)], ids=str)
def test_workers_may_change_between_the_parts(
    workers: tuple[int, int], tmp_path: Path
) -> None:
    """Inside an epoch, with augmented samples."""
    then, now = workers
    whole = toy_run(ToyPlan(workers=then, save_interval=7), work_dir=tmp_path)
    saved = tmp_path / "iter_7.pth"
    tail = toy_run(ToyPlan(workers=now), work_dir=tmp_path, resume_from=saved)
    assert tail.ids == whole.ids[7:]
    assert tail.losses == whole.losses[7:]
    assert_same(tail.weights, whole.weights, "weights")
    assert whole.losses == toy_run(ToyPlan(), work_dir=tmp_path).losses


@pytest.mark.parametrize(
    "plan",
    [ToyPlan(val_interval=1), ToyPlan(max_epochs=0, max_iters=8, val_interval=2)],
    ids=["by epoch", "by iteration"],
)
def test_every_file_of_the_hook_leads_to_the_same_end(
    plan: ToyPlan, tmp_path: Path
) -> None:
    """One saved after each iteration, validations owed or not."""
    whole = toy_run(evolve(plan, save_interval=1), work_dir=tmp_path)
    for done in range(1, plan.iterations + 1):
        saved = tmp_path / f"iter_{done}.pth"
        tail = toy_run(plan, work_dir=tmp_path, resume_from=saved)
        assert tail.losses == whole.losses[done:]
        assert tail.metrics == [one for one in whole.metrics if one[0] >= done]
        assert_same(tail.weights, whole.weights, f"weights from {done}")
        assert_same(tail.state, whole.state, f"state from {done}")
