"""Toy runs of a Runner: a plan says what is trained, a story what came of it.

Everything that must come back after a resume takes part: dropout and batch norm in the
model, augmentation from python's, NumPy's and torch's generators, a hook that draws
from each of them, schedules, accumulation, and validations with a metric that draws.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from attrs import evolve, field, frozen
from torch import Tensor, nn
from torch.utils.data import Dataset

from engine import BaseMetric, CheckpointHook, Hook, Priority, Runner, StepModel
from engine.state import capture_randomness, seed_everything

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine.state import RunContext

__all__ = [
    "Recorder",
    "RunPlan",
    "Samples",
    "Spread",
    "bits",
    "make_runner",
    "story",
    "train",
]

SHAPE = (3, 2)


@frozen(kw_only=True)
class RunPlan:
    """What a toy run does.

    Args:
        max_epochs: Epochs; ``None`` in a run bounded by iterations.
        max_iters: Iterations; ``None`` in a run bounded by epochs.
        size: Samples in the training data.
        batch_size: Samples in a batch.
        drop_last: Leave out the last, smaller batch.
        sampler: ``run`` (``shuffle=True``), ``default`` (``DefaultSampler``),
            ``infinite`` (``InfiniteSampler``), ``none``.
        workers: Loader processes.
        augment: Whether samples draw random numbers.
        val_interval: Between validations; ``None``: none at all.
        seed: The run's; ``None`` draws one.
        schedule: ``none``, ``epoch`` or ``iteration``.
        accumulate: Iterations in a window.
        watched: Whether loggers and the visualizer work too.
    """

    max_epochs: int | None = 2
    max_iters: int | None = None
    size: int = 9
    batch_size: int = 4
    drop_last: bool = False
    sampler: str = "run"
    workers: int = 0
    augment: bool = True
    val_interval: int | None = 1
    seed: int | None = 7
    schedule: str = "iteration"
    accumulate: int = 1
    watched: bool = field(default=False)

    @property
    def epoch_length(self) -> int:
        """Batches in a pass over the data."""
        if self.drop_last:
            return self.size // self.batch_size
        return -(-self.size // self.batch_size)

    @property
    def iterations(self) -> int:
        """Iterations of the whole run."""
        if self.max_iters is not None:
            return self.max_iters
        return (self.max_epochs or 0) * self.epoch_length


class Samples(Dataset[tuple[int, Tensor, int]]):
    """Numbered points; with ``augment`` each is moved by all three generators.

    Args:
        size: How many.
        augment: Whether they are moved at random.
    """

    def __init__(self, size: int, *, augment: bool = False) -> None:
        generator = torch.Generator().manual_seed(size)
        self.points = torch.randn(size, *SHAPE, generator=generator)
        self.augment = augment

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> tuple[int, Tensor, int]:
        point = self.points[index]
        if self.augment:
            noise = [random.random(), np.random.rand(), torch.rand(()).item()]
            point = point + 0.1 * torch.tensor(noise).reshape(3, 1)
        return index, point, int(self.points[index].sum() > 0)


class Spread(BaseMetric):
    """Mean output of an evaluation, and a number drawn from each generator."""

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        for sample in data_samples:
            self.results += sample["outputs"].mean(1).tolist()

    def compute_metrics(self, results: list[Any]) -> Mapping[str, Any]:
        drawn = random.random() + float(np.random.rand()) + torch.rand(()).item()
        return {"mean": sum(results) / len(results), "drawn": drawn}


class Recorder(Hook):
    """Remembers in checkpoints all that happened, in order; draws while training."""

    priority: ClassVar[Priority] = Priority.LOW

    def __init__(self) -> None:
        self.events: list[list[Any]] = []

    def before_train_epoch(self, runner: RunContext) -> None:
        self.events.append(["epoch begins", runner.epoch])

    def after_train_epoch(self, runner: RunContext) -> None:
        self.events.append(["epoch ends", runner.epoch, torch.rand(()).item()])

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        assert outputs is not None
        ids, points, _ = data_batch
        drawn = [random.random(), float(np.random.rand()), torch.rand(()).item()]
        self.events.append(
            [
                "iteration",
                runner.iter,
                batch_idx,
                outputs["loss"].item(),
                ids.tolist(),
                points.tolist(),
                drawn,
                runner.optim_wrapper.get_lr()["lr"],
            ]
        )

    def after_val_epoch(
        self, runner: RunContext, metrics: Mapping[str, Any] | None = None
    ) -> None:
        self.events.append(
            ["validation", runner.epoch, runner.iter, dict(metrics or {})]
        )

    def losses(self) -> list[float]:
        """Loss of each iteration so far."""
        return [event[3] for event in self.events if event[0] == "iteration"]

    def state_dict(self) -> dict[str, Any]:
        return {"events": [list(event) for event in self.events]}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.events = [list(event) for event in state["events"]]


def _model() -> StepModel:
    net = nn.Sequential(
        nn.BatchNorm1d(SHAPE[0]),  # over the points' columns: a batch may be one point
        nn.Flatten(),
        nn.Linear(SHAPE[0] * SHAPE[1], 4),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(4, 2),
    )
    return StepModel(net, nn.functional.cross_entropy, preprocess=_points_and_labels)


def _points_and_labels(batch: Any) -> tuple[Any, Any]:
    return batch[1], batch[2]


def make_runner(plan: RunPlan, work_dir: Path, **changes: Any) -> Runner:
    """A Runner of fresh objects that does what the plan says.

    It saves ``iter_N.pth`` after each iteration and ``epoch_N.pth`` after each epoch,
    and its hook ``Recorder`` is ``runner.hooks``' only one of that class.

    Args:
        plan: What it does.
        work_dir: Its folder.
        changes: Arguments of the Runner that take the place of the plan's.
    """
    seed_everything(1)  # the initial weights are the same for every seed
    model = _model()
    loader: dict[str, Any] = {
        "dataset": Samples(plan.size, augment=plan.augment),
        "batch_size": plan.batch_size,
        "drop_last": plan.drop_last,
        "num_workers": plan.workers,
        "collate_fn": "default_collate",
    }
    if plan.sampler == "run":
        loader["shuffle"] = True
    elif plan.sampler == "default":
        loader["sampler"] = {"type": "DefaultSampler", "shuffle": True}
    elif plan.sampler == "infinite":
        loader["sampler"] = {"type": "InfiniteSampler"}
    train_cfg: dict[str, Any] = {"max_epochs": plan.max_epochs}
    if plan.max_iters is not None:
        train_cfg = {"by_epoch": False, "max_iters": plan.max_iters}
    arguments: dict[str, Any] = {
        "model": model,
        "work_dir": work_dir,
        "train_dataloader": loader,
        "train_cfg": train_cfg,
        "optim_wrapper": {
            "optimizer": {"type": "Adam", "lr": 0.05},
            "accumulative_counts": plan.accumulate,
        },
        "param_scheduler": _schedule(plan),
        "default_hooks": {"checkpoint": None},
        "custom_hooks": [
            Recorder(),
            CheckpointHook(interval=1, by_epoch=False),
            CheckpointHook(interval=1),
        ],
        "randomness": {"seed": plan.seed},
        "log_level": "ERROR",
    }
    if not plan.watched:
        arguments["default_hooks"]["logger"] = None
        arguments["visualizer"] = {"vis_backends": []}
    else:
        arguments["default_hooks"]["logger"] = {"interval": 1}
    if plan.val_interval is not None:
        train_cfg["val_interval"] = plan.val_interval
        arguments |= {
            "val_dataloader": {
                "dataset": Samples(5, augment=True),
                "batch_size": 3,
                "shuffle": True,  # draws from torch's global generator
                "collate_fn": "default_collate",
            },
            "val_cfg": {},
            "val_evaluator": Spread(),
        }
    return Runner(**{**arguments, **changes})


def _schedule(plan: RunPlan) -> Any:
    if plan.schedule == "none":
        return None
    by_epoch = plan.schedule == "epoch"
    return [
        {
            "type": "LinearLR",
            "start_factor": 0.2,
            "by_epoch": by_epoch,
            "end": 2 if by_epoch else 3,
        },
        {"type": "MultiStepLR", "milestones": [2, 4], "by_epoch": by_epoch},
    ]


def recorder(runner: Runner) -> Recorder:
    """The Runner's ``Recorder``."""
    (found,) = [hook for hook in runner.hooks if isinstance(hook, Recorder)]
    return found


def train(
    plan: RunPlan,
    work_dir: Path,
    *,
    resume_from: Path | None = None,
    disturb: int | None = None,
    **changes: Any,
) -> Runner:
    """Train a toy run, or go on with one from a checkpoint.

    Args:
        plan: What it does.
        work_dir: Its folder.
        resume_from: The checkpoint.
        disturb: Seeds the global generators once more right before training, to show
            that a resume does not depend on what was in them.
        changes: Arguments of the Runner that take the place of the plan's.
    """
    if resume_from is not None:
        changes |= {"load_from": resume_from, "resume": True}
    runner = make_runner(plan, work_dir, **changes)
    if disturb is not None:
        seed_everything(disturb)
    runner.train()
    return runner


def story(runner: Runner) -> dict[str, Any]:
    """All that must be equal between two runs that are the same, to the bit."""
    state = runner.state.state_dict()
    del state["elapsed_seconds"]
    hub = runner.message_hub.state_dict()
    timed = ("time", "data_time")
    hub["scalars"] = {
        key: value
        for key, value in hub["scalars"].items()
        if key.rpartition("/")[2] not in timed
    }
    told: dict[str, Any] = bits(
        {
            "events": recorder(runner).events,
            "model": runner.model.state_dict(),
            "optimizer": runner.optim_wrapper.state_dict(),
            "window": runner.optim_wrapper.inner_count,
            "schedules": [one.state_dict() for one in runner.param_schedulers],
            "state": state,
            "hub": hub,
            "randomness": capture_randomness(),
        }
    )
    return told


def bits(value: Any) -> Any:
    """Plain data whose ``==`` means bit-equality, also of NaN and of 0.0 and -0.0."""
    if isinstance(value, Tensor):
        # As bytes: NaN differs from itself.
        raw = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return [str(value.dtype), list(value.shape), raw.numpy().tobytes().hex()]
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [bits(item) for item in value]
    return value


def without_validation(plan: RunPlan) -> RunPlan:
    """The same training without any validation."""
    return evolve(plan, val_interval=None)
