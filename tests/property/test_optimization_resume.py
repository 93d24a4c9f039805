"""Law: every schedule, wrapper and average goes on from a checkpoint bit-equal."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.hooks import CheckpointHook, EMAHook
from tests.runs import Recorder, RunPlan, bits, story, train

SCHEDULES: dict[str, dict[str, Any]] = {
    "none": {},
    "ConstantLR": {"factor": 0.5, "end": 4},
    "CosineAnnealingLR": {"eta_min": 0.001},
    "CosineRestartLR": {
        "periods": [2, 3, 3],
        "restart_weights": [1, 0.5, 0.7],
        "eta_min": 0.001,
    },
    "ExponentialLR": {"gamma": 0.9},
    "ExponentialMomentum": {"gamma": 0.9},
    "LinearMomentum": {"start_factor": 0.5},
    "LinearParamScheduler": {"param_name": "weight_decay", "start_factor": 0.5},
    "MultiStepLR": {"milestones": [2, 5]},
    "OneCycleLR": {"eta_max": 0.1, "three_phase": True},
    "PolyLR": {"power": 0.9, "eta_min": 0.001},
    "ReduceOnPlateauLR": {"monitor": "mean", "patience": 0, "factor": 0.5},
    "StepLR": {"step_size": 2},
    "torch.optim.lr_scheduler.CosineAnnealingWarmRestarts": {"T_0": 2},
    "ReduceLROnPlateau": {"monitor": "mean", "patience": 0, "factor": 0.5},
}
WRAPPERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "clipped": {"clip_grad": {"max_norm": 0.1}},
    "groups": {"paramwise_cfg": {"bias_lr_mult": 2.0, "norm_decay_mult": 0.0}},
    "mixed": {"type": "AmpOptimWrapper", "dtype": "bfloat16"},
}
AVERAGES: dict[str, dict[str, Any]] = {
    "ExponentialMovingAverage": {"momentum": 0.3},
    "MomentumAnnealingEMA": {"gamma": 3, "update_buffers": True},
    "StochasticWeightAverage": {"interval": 2},
    "torch.optim.swa_utils.AveragedModel": {},
}


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """Specs of an optimizer, one or two schedules, and an average or none."""
    wrapper = WRAPPERS[draw(st.sampled_from(sorted(WRAPPERS)), label="wrapper")]
    by_epoch = draw(st.booleans(), label="by epoch")
    names = draw(
        st.lists(st.sampled_from(sorted(SCHEDULES)), min_size=1, max_size=2),
        label="schedules",
    )
    average = draw(st.none() | st.sampled_from(sorted(AVERAGES)), label="average")
    begin = draw(st.sampled_from(["begin_iter", "begin_epoch"]), label="begin")
    when = draw(st.integers(0, 3), label="when")
    settings = {} if average is None else AVERAGES[average]
    return {
        "optim_wrapper": {
            "optimizer": {"type": "Adam", "lr": 0.05, "weight_decay": 0.01},
            "accumulative_counts": draw(st.integers(1, 3), label="window"),
            **wrapper,
        },
        "param_scheduler": [
            {"type": name, "by_epoch": by_epoch, **SCHEDULES[name]}
            for name in names
            if name != "none"
        ],
        "average": average and {"ema_type": average, begin: when, **settings},
    }


def run(plan: RunPlan, work_dir: Path, drawn: dict[str, Any], **more: Any) -> Any:
    """Train with fresh hooks; what came of it, the average's state too."""
    drawn = dict(drawn)
    average = drawn.pop("average")
    if average and "begin_epoch" in average:  # one that never begins is refused
        begin = min(average["begin_epoch"], plan.max_epochs or 1)
        average = {**average, "begin_epoch": begin}
    hook = EMAHook(**average) if average else None
    hooks = [Recorder(), CheckpointHook(interval=1, by_epoch=False)]
    runner = train(
        plan,
        work_dir,
        **drawn,
        custom_hooks=[*hooks, *([hook] if hook else [])],
        **more,
    )
    told = story(runner)
    told["average"] = hook and bits(hook.ema_model.state_dict())
    return told


@given(
    drawn=changes(),
    epochs=st.integers(1, 3),
    val_interval=st.integers(1, 2),
    where=st.integers(0, 8),
)
def test_a_resumed_run_is_the_unbroken_one(
    drawn: dict[str, Any], epochs: int, val_interval: int, where: int
) -> None:
    """From any iteration, before and after the average began."""
    plan = RunPlan(max_epochs=epochs, val_interval=val_interval)
    folder = Path(tempfile.mkdtemp())
    try:
        whole = run(plan, folder / "whole", drawn)
        iteration = 1 + where % plan.iterations
        file = folder / "whole" / f"iter_{iteration}.pth"
        assert run(plan, folder / "rest", drawn, resume_from=file) == whole
    finally:
        shutil.rmtree(folder)
