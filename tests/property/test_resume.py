"""The headline: stopped at any safe point and resumed, a run is the unbroken one."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Hook, Phase, Runner
from engine.checkpoint import read
from engine.state import RunContext, capture_randomness, seed_everything
from tests.runs import (
    RunPlan,
    bits,
    make_runner,
    recorder,
    story,
    train,
)


@st.composite
def run_plans(draw: st.DrawFn) -> RunPlan:
    """Short runs by epochs or by iterations, over up to 4 batches a pass."""
    size = draw(st.integers(2, 9), label="samples")
    batch_size = draw(st.integers(1 if size <= 4 else 3, 4), label="batch size")
    by_epoch = draw(st.booleans(), label="by epoch")
    return RunPlan(
        max_epochs=draw(st.integers(1, 3), label="epochs") if by_epoch else None,
        max_iters=None if by_epoch else draw(st.integers(1, 8), label="iterations"),
        size=size,
        batch_size=batch_size,
        drop_last=batch_size <= size and draw(st.booleans(), label="drop last"),
        sampler=draw(
            st.sampled_from(["run", "default", "infinite", "none"]), label="sampler"
        ),
        augment=draw(st.booleans(), label="augment"),
        val_interval=draw(st.sampled_from([None, 1, 2, 3]), label="val interval"),
        seed=draw(st.integers(0, 2**32 - 1), label="seed"),
        schedule=draw(
            st.sampled_from(["none", "epoch", "iteration"]), label="schedule"
        ),
        accumulate=draw(st.integers(1, 5), label="accumulation"),
    )


def cuts(runner: Runner) -> list[Path]:
    """Every checkpoint that a run left: one for each safe point that saves."""
    return sorted(runner.work_dir.glob("*.pth"))


@given(plan=run_plans(), data=st.data())
def test_resume_repeats_the_uninterrupted_run(
    plan: RunPlan, data: st.DataObject
) -> None:
    """Whatever safe point it stops at, whatever the generators hold afterwards."""
    with TemporaryDirectory() as folder:
        whole = train(plan, Path(folder) / "whole")
        cut = data.draw(st.sampled_from(cuts(whole)), label="stop after")
        rest = train(plan, Path(folder) / "rest", resume_from=cut, disturb=99)
        assert story(rest) == story(whole)


@given(plan=run_plans(), data=st.data())
def test_stopping_twice_repeats_the_uninterrupted_run(
    plan: RunPlan, data: st.DataObject
) -> None:
    """A checkpoint of a resumed run is as good as one of the unbroken run."""
    with TemporaryDirectory() as folder:
        whole = train(plan, Path(folder) / "whole")
        first = data.draw(st.sampled_from(cuts(whole)), label="stop after")
        middle = train(plan, Path(folder) / "middle", resume_from=first, disturb=5)
        second = data.draw(st.sampled_from([first, *cuts(middle)]), label="and after")
        rest = train(plan, Path(folder) / "rest", resume_from=second, disturb=6)
        assert story(rest) == story(whole)


@given(plan=run_plans(), data=st.data())
def test_checkpoints_of_a_resumed_run_are_those_of_the_unbroken_one(
    plan: RunPlan, data: st.DataObject
) -> None:
    """In each file the same weights, optimizer, place and generators."""
    with TemporaryDirectory() as folder:
        whole = train(plan, Path(folder) / "whole")
        cut = data.draw(st.sampled_from(cuts(whole)), label="stop after")
        rest = train(plan, Path(folder) / "rest", resume_from=cut, disturb=99)
        for path in cuts(rest):
            ours, theirs = read(path), read(whole.work_dir / path.name)
            for checkpoint in (ours, theirs):
                del checkpoint["meta"], checkpoint["message_hub"]
                del checkpoint["engine"]["run_state"]["elapsed_seconds"]
            assert bits(ours) == bits(theirs), path.name


class InterruptAfter(Hook):
    """Interrupts a run after chosen iterations.

    Args:
        iterations: After which ones.
    """

    def __init__(self, iterations: set[int]) -> None:
        self.iterations = iterations

    def after_train_iter(self, runner: RunContext, *_: object, **__: object) -> None:
        if runner.iter + 1 in self.iterations:
            runner.trainer.interrupt()


@given(plan=run_plans(), data=st.data())
def test_interrupting_changes_nothing(plan: RunPlan, data: st.DataObject) -> None:
    """interrupt() and run() again in the same process, any number of times."""
    stops = data.draw(st.sets(st.integers(1, plan.iterations)), label="interrupt after")
    with TemporaryDirectory() as folder:
        whole = train(plan, Path(folder) / "whole")
        runner = make_runner(plan, Path(folder) / "parts")
        runner.register_hook(InterruptAfter(stops))
        runner.train()
        for _ in stops:
            assert runner.state.phase is Phase.INTERRUPTED
            runner.train()
        assert runner.state.phase is Phase.FINISHED
        assert story(runner) == story(whole)


FIXED = RunPlan(max_epochs=2, size=9, batch_size=4, accumulate=2, val_interval=1)


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(FIXED, id="epochs"),
        pytest.param(
            evolve(FIXED, max_epochs=None, max_iters=8, val_interval=3),
            id="iterations-over-data-that-restarts",
        ),
    ],
)
def test_every_cut_of_one_run(plan: RunPlan, tmp_path: Path) -> None:
    """Each file of the run is gone on from; the last of an epoch owes a validation."""
    whole = train(plan, tmp_path / "whole")
    expected = story(whole)
    assert len(cuts(whole)) >= plan.iterations
    for cut in cuts(whole):
        rest = train(plan, tmp_path / cut.stem, resume_from=cut, disturb=99)
        assert story(rest) == expected, cut.name


def test_a_validation_that_is_due_when_saved_is_paid_once(tmp_path: Path) -> None:
    """Saved at the end of an epoch, before its validation: that comes first, once."""
    whole = train(FIXED, tmp_path / "whole")
    saved = read(whole.work_dir / "epoch_1.pth")["engine"]["run_state"]
    assert [due["owner"] for due in saved["due"]] == ["validation"]
    seen = [
        event
        for event in recorder(
            train(
                FIXED,
                tmp_path / "rest",
                resume_from=whole.work_dir / "epoch_1.pth",
                disturb=99,
            )
        ).events
        if event[0] == "validation"
    ]
    assert bits(seen) == bits(
        [event for event in recorder(whole).events if event[0] == "validation"]
    )
    assert [event[2] for event in seen] == [3, 6]


def test_a_save_at_the_last_iteration_of_an_epoch_ends_the_epoch_on_resume(
    tmp_path: Path,
) -> None:
    """The epoch's end is still to come: its handlers run, and it begins only once."""
    whole = train(FIXED, tmp_path / "whole")
    saved = read(whole.work_dir / "iter_3.pth")["engine"]["run_state"]["progress"]
    assert (saved["epoch"], saved["epoch_iteration"]) == (0, 3)
    rest = train(FIXED, tmp_path / "rest", resume_from=whole.work_dir / "iter_3.pth")
    edges = [event[:2] for event in recorder(rest).events if "epoch" in event[0]]
    assert edges == [
        ["epoch begins", 0],
        ["epoch ends", 0],
        ["epoch begins", 1],
        ["epoch ends", 1],
    ]


@pytest.mark.parametrize(("then", "now"), [(0, 2), (2, 0), (2, 2)])
def test_resume_with_any_number_of_workers(then: int, now: int, tmp_path: Path) -> None:
    """Augmentation depends on a sample's place, so who loads it does not matter."""
    whole = train(FIXED, tmp_path / "whole")
    head = train(evolve(FIXED, workers=then), tmp_path / "head")
    assert story(head) == story(whole)
    for cut in ("iter_1.pth", "iter_4.pth"):
        rest = train(
            evolve(FIXED, workers=now),
            tmp_path / cut,
            resume_from=head.work_dir / cut,
            disturb=99,
        )
        assert story(rest) == story(whole), cut


@settings(max_examples=3)
@given(plan=run_plans(), data=st.data())
def test_resume_with_workers(plan: RunPlan, data: st.DataObject) -> None:
    """What two workers had fetched ahead when the run stopped is lost at no harm."""
    plan = evolve(plan, workers=2)
    with TemporaryDirectory() as folder:
        whole = train(plan, Path(folder) / "whole")
        cut = data.draw(st.sampled_from(cuts(whole)), label="stop after")
        rest = train(plan, Path(folder) / "rest", resume_from=cut, disturb=99)
        assert story(rest) == story(whole)


def test_the_seed_of_a_resumed_run_is_the_checkpoints(tmp_path: Path) -> None:
    """Neither a drawn seed nor a given one takes its place."""
    whole = train(evolve(FIXED, seed=None, sampler="default"), tmp_path / "whole")
    cut = whole.work_dir / "iter_2.pth"
    for seed in (None, 8):
        plan = evolve(FIXED, seed=seed, sampler="default")
        rest = train(plan, tmp_path / f"rest{seed}", resume_from=cut)
        assert rest.seed == whole.seed
        assert story(rest) == story(whole)


def test_a_finished_run_resumes_to_nothing(tmp_path: Path) -> None:
    """All is done: no iteration, no validation, the same weights and state."""
    plan = evolve(FIXED, val_interval=None)
    whole = train(plan, tmp_path / "whole")
    rest = train(plan, tmp_path / "rest", resume_from=cuts(whole)[1], disturb=4)
    assert cuts(whole)[1].name == "epoch_2.pth"
    assert rest.state.phase is Phase.FINISHED
    assert story(rest) == story(whole)


def test_a_longer_run_goes_on_from_a_finished_one(tmp_path: Path) -> None:
    """Two epochs and then one more are the three epochs of one run."""
    plan = evolve(FIXED, schedule="none", accumulate=1)
    short = train(plan, tmp_path / "short")
    longer = evolve(plan, max_epochs=3)
    rest = train(longer, tmp_path / "rest", resume_from=short.work_dir / "epoch_2.pth")
    whole = train(longer, tmp_path / "whole")
    assert recorder(rest).losses() == recorder(whole).losses()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, rest.model.state_dict()[name]), name


def test_all_generators_go_on_where_they_were(tmp_path: Path) -> None:
    """After a resume python's, NumPy's and torch's are the unbroken run's."""
    whole = train(FIXED, tmp_path / "whole")
    expected = bits(capture_randomness())
    seed_everything(12345)
    train(FIXED, tmp_path / "rest", resume_from=whole.work_dir / "iter_2.pth")
    found = bits(capture_randomness())
    assert {key: found[key] == expected[key] for key in expected} == dict.fromkeys(
        expected, True
    )
