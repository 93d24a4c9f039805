"""Compare whole runs with MMEngine 0.10.7's, as a black box, on random configs.

    python tests/oracle/runs_against_mmengine.py --cases 40 --seed 0

Each case draws an optimizer, windows, clipping, groups by rule, schedules, an average,
and a loop by epoch or by iteration, and runs it under both Runners on the same data.
Every iteration's loss, learning rates, momenta, norm and weights, every validation's
metric, the names of the checkpoints, and their weights and averages must agree.
"""

from __future__ import annotations

import argparse
import copy
import logging
import os
import random
import sys
import tempfile
import warnings
from itertools import chain
from pathlib import Path
from typing import Any

# MMEngine's own files do not load under torch's present default.
os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"

import mmengine.evaluator
import mmengine.hooks
import mmengine.model
import mmengine.runner
import torch
from torch import nn
from torch.utils.data import TensorDataset

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import engine.evaluator
import engine.hooks
import engine.model
import engine.runner

SCHEDULES: dict[str, dict[str, Any]] = {
    "ConstantLR": {},
    "CosineAnnealingLR": {"eta_min": 1e-4},
    "CosineAnnealingMomentum": {},
    "ExponentialMomentum": {"gamma": 0.9},
    "LinearLR": {"start_factor": 0.1},
    "MultiStepLR": {"milestones": [1, 3], "gamma": 0.5},
    "OneCycleLR": {"eta_max": 0.1},
    "PolyLR": {"eta_min": 1e-5, "power": 0.9},
    "ReduceOnPlateauLR": {"monitor": "mean", "patience": 0, "factor": 0.5},
    "StepLR": {"step_size": 2},
}
OPTIMIZERS: list[dict[str, Any]] = [
    {"type": "SGD", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.01},
    {"type": "Adam", "lr": 0.01, "weight_decay": 0.01},
    {"type": "AdamW", "lr": 0.01, "weight_decay": 0.05},
    {"type": "RMSprop", "lr": 0.01, "momentum": 0.5, "weight_decay": 0.01},
]
CLIPS: list[dict[str, Any] | None] = [
    None,
    {"max_norm": 0.1},
    {"max_norm": 0.3, "norm_type": 1},
    {"type": "value", "clip_value": 0.05},
]
AVERAGES: list[dict[str, Any] | None] = [
    None,
    {"ema_type": "ExponentialMovingAverage", "momentum": 0.2},
    {"ema_type": "MomentumAnnealingEMA", "momentum": 0.1, "gamma": 3},
    {"ema_type": "StochasticWeightAverage"},
]
Drawn = dict[str, Any]


def draw(rng: random.Random) -> Drawn:
    """The arguments of a Runner that both are given."""
    batch = rng.randint(2, 4)
    by_epoch = rng.random() < 0.6
    limit = rng.randint(1, 4) if by_epoch else rng.randint(3, 14)
    wrapper: Drawn = {
        "type": "OptimWrapper",
        "optimizer": rng.choice(OPTIMIZERS),
        "accumulative_counts": rng.randint(1, 4),
        "clip_grad": rng.choice(CLIPS),
    }
    if rng.random() < 0.5:
        wrapper["paramwise_cfg"] = {
            "bias_lr_mult": 2.0,
            "norm_decay_mult": 0.0,
            "custom_keys": {"body.2": {"lr_mult": 0.1}},
        }
    average = copy.copy(rng.choice(AVERAGES))
    if average is not None:
        average |= {
            "type": "EMAHook",
            "interval": rng.randint(1, 3),
            "update_buffers": rng.random() < 0.5,
        }
        epochs = limit if by_epoch else 1
        begin = rng.choice([{}, {"begin_iter": rng.randint(0, 3)}])
        if rng.random() < 0.3:
            begin = {"begin_epoch": rng.randint(0, epochs)}
        average |= begin if by_epoch or "begin_epoch" not in begin else {}
    return {
        "batch": batch,
        "size": batch * rng.randint(2, 5),
        "norm": rng.random() < 0.5,
        "average": average,
        "by_epoch": by_epoch,
        "train_cfg": {
            "by_epoch": by_epoch,
            "max_epochs" if by_epoch else "max_iters": limit,
            "val_interval": rng.randint(1, 2) if by_epoch else rng.randint(1, 5),
        },
        "optim_wrapper": wrapper,
        "param_scheduler": [
            draw_schedule(rng, by_epoch) for _ in range(rng.randint(0, 2))
        ],
        "auto_scale_lr": rng.choice([None, {"enable": True, "base_batch_size": 8}]),
    }


def draw_schedule(rng: random.Random, by_epoch: bool) -> Drawn:
    """One, by iteration, by epoch, or by epoch and converted."""
    kind = rng.choice(sorted(SCHEDULES))
    spec = {"type": kind, **SCHEDULES[kind]}
    plateau = kind == "ReduceOnPlateauLR"  # MMEngine's goes by epoch only
    spec["by_epoch"] = plateau or (by_epoch and rng.random() < 0.5)
    if not plateau and rng.random() < 0.3:
        spec |= {"by_epoch": True, "convert_to_iter_based": True}
    if kind != "OneCycleLR" and rng.random() < 0.4:
        spec["begin"] = rng.randint(0, 1)
        spec["end"] = spec["begin"] + rng.randint(2, 4)
    return spec


def make_model(base: Any, *, norm: bool) -> Any:
    """The same model in both systems."""

    class Net(base):  # type: ignore[misc] # a class that is only known here
        def __init__(self) -> None:
            super().__init__()
            middle = nn.BatchNorm1d(5) if norm else nn.Tanh()
            self.body = nn.Sequential(nn.Linear(4, 5), middle, nn.Linear(5, 1))

        def forward(self, x: Any, y: Any = None, mode: str = "tensor") -> Any:
            loss = (self.body(x) - y).pow(2).mean()
            return {"loss": loss} if mode == "loss" else [loss]

    torch.manual_seed(0)
    return Net()


def make_metric(base: Any, found: list[Any]) -> Any:
    """The mean loss, which it writes down."""

    class Mean(base):  # type: ignore[misc] # the same
        def process(self, data_batch: Any, data_samples: Any) -> None:
            self.results += [float(one) for one in data_samples]

        def compute_metrics(self, results: list[float]) -> dict[str, float]:
            found.append([sum(results) / len(results)])
            return {"mean": sum(results) / len(results)}

    return Mean()


def make_hook(base: Any, found: list[Any]) -> Any:
    """Writes down what each iteration left."""

    class Watch(base):  # type: ignore[misc] # the same
        priority = "VERY_LOW"

        def after_train_iter(
            self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = ()
        ) -> None:
            rates = runner.optim_wrapper.get_lr()
            # MMEngine's auto_scale_lr leaves the logged base_lr as it was.
            rates.pop("base_lr", None)
            hub = runner.message_hub
            norm = (
                [float(hub.get_scalar("train/grad_norm").current())]
                if "train/grad_norm" in hub.log_scalars
                else []
            )
            found.append(
                [
                    float(outputs["loss"]),
                    *rates["lr"],
                    *runner.optim_wrapper.get_momentum()["momentum"],
                    *norm,
                    *(p.sum().item() for p in runner.model.parameters()),
                ]
            )

    return Watch()


def loader(size: int, batch: int) -> Drawn:
    """Numbered points in their order."""
    generator = torch.Generator().manual_seed(size)
    points = torch.randn(size, 4, generator=generator)
    return {
        "dataset": TensorDataset(points, torch.randn(size, 1, generator=generator)),
        "batch_size": batch,
        "num_workers": 0,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "collate_fn": {"type": "default_collate"},
    }


def run(package: Any, case: Drawn, work_dir: Path, name: str) -> list[list[float]]:
    """Train; what was written down, and what the checkpoints hold, as numbers."""
    found: list[Any] = []
    case = copy.deepcopy(case)
    average = [] if case["average"] is None else [case["average"]]
    package.runner.Runner(
        model=make_model(package.model.BaseModel, norm=case["norm"]),
        work_dir=str(work_dir),
        train_dataloader=loader(case["size"], case["batch"]),
        val_dataloader=loader(6, 3),
        val_cfg={},
        val_evaluator=[make_metric(package.evaluator.BaseMetric, found)],
        default_hooks={
            "checkpoint": {
                "type": "CheckpointHook",
                "interval": 1,
                "by_epoch": case["by_epoch"],
            }
        },
        custom_hooks=[*average, make_hook(package.hooks.Hook, found)],
        randomness={"seed": 1},
        log_level="ERROR",
        experiment_name=name,  # MMEngine's hubs are kept by name
        **{
            key: case[key]
            for key in (
                "train_cfg",
                "optim_wrapper",
                "param_scheduler",
                "auto_scale_lr",
            )
        },
    ).train()
    for file in sorted(work_dir.glob("*.pth")):
        saved = torch.load(file, weights_only=False)
        found.append([float(file.stem.partition("_")[2])])
        for part in ("state_dict", "ema_state_dict"):
            # A count that no forward reads; MMEngine's averages leave it behind.
            held = sorted(saved.get(part, {}).items())
            kept = [one for key, one in held if not key.endswith("batches_tracked")]
            found.append([one.double().sum().item() for one in kept])
    return found


def differs(want: list[list[float]], got: list[list[float]]) -> bool:
    """Whether two records do, but for the last bits of float32 sums."""
    if [len(one) for one in want] != [len(one) for one in got]:
        return True
    pairs = zip(chain.from_iterable(want), chain.from_iterable(got), strict=True)
    return any(abs(a - b) > 1e-5 * max(1.0, abs(a)) for a, b in pairs)


def main() -> int:
    """Run the cases; exit 1 if one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    rng = random.Random(options.seed)
    failed = compared = 0
    with tempfile.TemporaryDirectory() as folder:
        for index in range(options.cases):
            case = draw(rng)
            records = []
            for package, name in ((mmengine, "theirs"), (engine, "ours")):
                work_dir = Path(folder, f"{index}_{name}")
                records.append(run(package, case, work_dir, f"{name}_{index}"))
            compared += sum(len(one) for one in records[0])
            if differs(*records):
                failed += 1
                print(f"differs: {case}")  # noqa: T201
    print(  # noqa: T201
        f"mmengine {mmengine.__version__}, seed {options.seed}: {options.cases} runs, "
        f"{compared} numbers, {failed} runs differ"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
