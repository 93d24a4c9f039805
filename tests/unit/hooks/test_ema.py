"""Averages of the weights, in and out of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from engine import Hook
from engine.checkpoint import read
from engine.errors import ConfigError
from engine.hooks import CheckpointHook, EMAHook
from tests.runs import Recorder, RunPlan, Samples, make_runner, train

if TYPE_CHECKING:
    from pathlib import Path

    from engine import Runner

PLAN = RunPlan(max_epochs=3, augment=False)


def hooks(*more: Hook) -> list[Hook]:
    """The toy run's, and these."""
    return [Recorder(), CheckpointHook(interval=1), *more]


def metrics(runner: Runner) -> list[float]:
    """What each validation found."""
    (recorder,) = [one for one in runner.hooks if isinstance(one, Recorder)]
    return [one[3]["mean"] for one in recorder.events if one[0] == "validation"]


def test_averaging_changes_nothing_in_training(tmp_path: Path) -> None:
    """The trained weights are those of a run without it."""
    plain = train(PLAN, tmp_path / "a", custom_hooks=hooks())
    averaged = train(PLAN, tmp_path / "b", custom_hooks=hooks(EMAHook(momentum=0.1)))
    for name, weights in plain.model.state_dict().items():
        assert torch.equal(weights, averaged.model.state_dict()[name]), name


def test_validation_sees_the_averages_and_a_checkpoint_holds_them(
    tmp_path: Path,
) -> None:
    """Loading the file gives the metric that was logged."""
    data: dict[str, Any] = {"dataset": Samples(5), "collate_fn": "default_collate"}
    changes: dict[str, Any] = {"val_dataloader": data, "custom_hooks": hooks()}
    plain = train(PLAN, tmp_path / "b", **changes)
    changes["custom_hooks"] = hooks(EMAHook(momentum=0.1))
    ran = train(PLAN, tmp_path / "a", **changes)
    assert metrics(ran) != metrics(plain)
    for epoch, logged in enumerate(metrics(ran), start=1):
        file = tmp_path / "a" / f"epoch_{epoch}.pth"
        changes["custom_hooks"] = hooks()
        evaluated = make_runner(PLAN, tmp_path / "c", load_from=file, **changes).val()
        assert evaluated["mean"] == pytest.approx(logged, abs=1e-7)


def test_a_checkpoint_has_mmengines_keys(tmp_path: Path) -> None:
    """Averages as the weights; trained ones and the count beside them."""
    hook = EMAHook(momentum=0.1)
    ran = train(PLAN, tmp_path, custom_hooks=hooks(hook))
    saved = read(tmp_path / "epoch_3.pth")
    trained = ran.model.state_dict()
    assert saved["ema_state_dict"].keys() == {f"module.{k}" for k in trained} | {
        "steps"
    }
    assert int(saved["ema_state_dict"]["steps"]) == PLAN.iterations
    averages = hook.ema_model.module.state_dict()
    for name, weights in trained.items():
        assert torch.equal(saved["ema_state_dict"][f"module.{name}"], weights)
        assert torch.equal(saved["state_dict"][name], averages[name])


@pytest.mark.parametrize(
    ("begin", "updates"), [({"begin_iter": 3}, 7), ({"begin_epoch": 2}, 6), ({}, 9)]
)
def test_it_begins_where_it_is_told(
    begin: dict[str, Any], updates: int, tmp_path: Path
) -> None:
    """Counted from 1; MMEngine's runs of nine iterations have these counts."""
    hook = EMAHook(**begin)
    train(PLAN, tmp_path, custom_hooks=hooks(hook))
    assert int(hook.ema_model.steps) == updates


@pytest.mark.parametrize("begin", [{"begin_iter": 6}, {"begin_epoch": 3}])
def test_before_it_begins_a_checkpoint_holds_the_trained_weights(
    begin: dict[str, Any], tmp_path: Path
) -> None:
    """Not those that the model began with: a file that is loaded must be of use."""
    hook = EMAHook(momentum=0.1, update_buffers=True, **begin)
    train(PLAN, tmp_path / "a", custom_hooks=hooks(hook))
    train(PLAN, tmp_path / "b", custom_hooks=hooks())
    averaged = read(tmp_path / "a" / "epoch_1.pth")
    plain = read(tmp_path / "b" / "epoch_1.pth")["state_dict"]
    assert int(averaged["ema_state_dict"].pop("steps")) == 0
    for name, weights in plain.items():
        assert torch.equal(averaged["state_dict"][name], weights), name
        assert torch.equal(averaged["ema_state_dict"][f"module.{name}"], weights), name


def test_a_runner_that_has_not_run_resumes_and_saves(tmp_path: Path) -> None:
    """``resume()`` and ``save_checkpoint()`` before ``train()`` know the averages."""
    whole = train(PLAN, tmp_path / "a", custom_hooks=hooks(EMAHook(momentum=0.1)))
    runner = make_runner(
        PLAN, tmp_path / "b", custom_hooks=hooks(EMAHook(momentum=0.1))
    )
    runner.resume(tmp_path / "a" / "epoch_1.pth")
    runner.save_checkpoint(tmp_path, "again.pth")
    first, again = read(tmp_path / "a" / "epoch_1.pth"), read(tmp_path / "again.pth")
    for part in ("state_dict", "ema_state_dict"):
        assert first[part].keys() == again[part].keys()
        for name, value in first[part].items():
            assert torch.equal(value, again[part][name]), name
    runner.train()
    for name, weights in whole.model.state_dict().items():
        assert torch.equal(weights, runner.model.state_dict()[name]), name


def test_one_that_would_never_begin_is_refused(tmp_path: Path) -> None:
    """Before the first iteration, not by a run without averages."""
    for hook, said in (
        (EMAHook(begin_iter=10), "begin_iter is 10, but the run ends with 9"),
        (EMAHook(begin_epoch=4), "begin_epoch is 4, but the run ends with 3"),
    ):
        runner = make_runner(PLAN, tmp_path, custom_hooks=hooks(hook))
        with pytest.raises(ConfigError, match=said):
            runner.train()
        assert runner.iter == 0


class Failing(Hook):
    """Fails inside the first validation."""

    def after_val_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        msg = "mine"
        raise ZeroDivisionError(msg)


def test_a_validation_that_fails_leaves_the_trained_weights(tmp_path: Path) -> None:
    """Who catches the error finds the model as it was."""
    plan = RunPlan(max_epochs=1, val_interval=1)
    runner = make_runner(plan, tmp_path, custom_hooks=hooks(EMAHook(), Failing()))
    with pytest.raises(ZeroDivisionError):
        runner.train()
    plain = train(RunPlan(max_epochs=1), tmp_path / "b", custom_hooks=hooks())
    for name, weights in plain.model.state_dict().items():
        assert torch.equal(weights, runner.model.state_dict()[name]), name


def test_a_resume_without_the_hook_says_what_it_goes_on_from(tmp_path: Path) -> None:
    """The averages; and one with the hook but without averages begins anew."""
    train(PLAN, tmp_path / "a", custom_hooks=hooks(EMAHook()))
    train(PLAN, tmp_path / "b", custom_hooks=hooks())
    runner = make_runner(PLAN, tmp_path / "c", custom_hooks=hooks())
    report = str(runner.trainer.resume(tmp_path / "a" / "epoch_1.pth"))
    assert "weights: they are averages and no EMAHook is there to put the" in report
    hook = EMAHook()
    train(
        PLAN,
        tmp_path / "d",
        resume_from=tmp_path / "b" / "epoch_1.pth",
        custom_hooks=hooks(hook),
    )
    assert int(hook.ema_model.steps) == 6


def test_swapping_twice_is_swapping_once(tmp_path: Path) -> None:
    """Whoever asks again, the averages are in the model, then out of it."""
    hook = EMAHook(momentum=0.1)
    runner = make_runner(PLAN, tmp_path, custom_hooks=hooks(hook))
    runner.train()
    trained = {k: v.clone() for k, v in runner.model.state_dict().items()}
    averages = {k: v.clone() for k, v in hook.ema_model.module.state_dict().items()}
    context: Any = runner
    for _ in range(2):
        hook.before_val_epoch(context)
    found = runner.model.state_dict()
    assert all(torch.equal(found[name], averages[name]) for name in averages)
    for _ in range(2):
        hook.after_val_epoch(context)
    found = runner.model.state_dict()
    assert all(torch.equal(found[name], trained[name]) for name in trained)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"begin_iter": 1, "begin_epoch": 1}, "give one of the two"),
        ({"begin_iter": -1}, "begin_iter is -1, but it counts from 1"),
        ({"ema_type": "torch.nn.Identity"}, "'torch.nn.Identity', which has no update"),
        (
            {"momentun": 0.1},
            "EMAHook: ExponentialMovingAverage has no argument 'momentun'.*'momentum'",
        ),
    ],
)
def test_bad_settings(settings: dict[str, Any], said: str) -> None:
    """Each is named."""
    with pytest.raises(ConfigError, match=said):
        EMAHook(**settings)
