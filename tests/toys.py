"""A toy run: a small network trained by a composed ``TrainEngine`` on made-up data.

``toy_run`` makes everything anew from a :class:`ToyPlan`, so a run that resumes shares
nothing with the one that was stopped but the file between them.
"""

from __future__ import annotations

import copy
import io
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import frozen
from ignite.metrics import Accuracy
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from engine.events import Events, Priority
from engine.hooks import CheckpointHook
from engine.logging import RunLogger, build_logger
from engine.loops import EvalEngine, TrainEngine
from engine.state import RunState, capture_randomness, fence, seed_everything

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ToyData",
    "ToyPlan",
    "ToyResult",
    "assert_same",
    "echo_trainer",
    "quiet_logger",
    "toy_model",
    "toy_run",
]

FEATURES, CLASSES = 4, 2


@frozen(kw_only=True)
class ToyPlan:
    """What a toy run does.

    Args:
        samples: Size of the training data.
        batch_size: At least 2, and no batch of one sample may be left over: batch
            normalization cannot train on it.
        max_epochs: Epochs in all; 0 if ``max_iters`` is given.
        max_iters: Iterations in all, over data that restarts; 0 for epochs.
        val_interval: Epochs (or iterations) between validations; 0: none.
        workers: Of the training loader.
        seed: Of everything.
        drop_last: Whether a shorter last batch is left out.
        shuffle: Whether each pass has an order of its own.
        augment: Whether python's, NumPy's and torch's generators change samples.
        save_interval: Iterations between checkpoints of a ``CheckpointHook``; 0: none.
    """

    samples: int = 22
    batch_size: int = 5
    max_epochs: int = 2
    max_iters: int = 0
    val_interval: int = 1
    workers: int = 0
    seed: int = 3
    drop_last: bool = False
    shuffle: bool = True
    augment: bool = True
    save_interval: int = 0

    def __attrs_post_init__(self) -> None:
        left = 0 if self.drop_last else self.samples % self.batch_size
        assert self.batch_size > 1, "batch normalization needs more than one sample"
        assert left != 1, "batch normalization needs more than one sample"
        assert self.samples >= self.batch_size, "an epoch needs a batch"
        assert bool(self.max_epochs) != bool(self.max_iters), "give one of the bounds"

    @property
    def epoch_length(self) -> int:
        """Batches in a pass over the data."""
        full, left = divmod(self.samples, self.batch_size)
        return full + (1 if left and not self.drop_last else 0)

    @property
    def iterations(self) -> int:
        """Iterations in all."""
        return self.max_iters or self.max_epochs * self.epoch_length

    @property
    def bound(self) -> dict[str, int]:
        """The bound as arguments of ``TrainEngine.run``."""
        if self.max_iters:
            return {"max_iters": self.max_iters}
        return {"max_epochs": self.max_epochs}


@frozen(kw_only=True)
class ToyResult:
    """What came of a toy run, or of the part of it that this process did.

    Args:
        losses: One for each iteration done here.
        ids: The samples of each iteration done here.
        metrics: Iterations finished and values, for each validation done here.
        state: The run's state as plain data, elapsed time apart.
        weights: The model's parameters and buffers.
        optimizer: The optimizer's state.
        generators: Python's, NumPy's and torch's global generators at the end.
        checkpoint: Where a run with ``stop_after`` was saved, else ``None``.
    """

    losses: list[float]
    ids: list[list[int]]
    metrics: list[tuple[int, dict[str, float]]]
    state: dict[str, Any]
    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    generators: dict[str, Any]
    checkpoint: Path | str | None


class ToyData(Dataset[tuple[Tensor, Tensor, int]]):
    """Points, their class and their number.

    Args:
        samples: How many.
        augment: Whether the global generators of python, NumPy and torch change them.
    """

    def __init__(self, samples: int, *, augment: bool = False) -> None:
        generator = torch.Generator().manual_seed(samples)
        self.points = torch.randn(samples, FEATURES, generator=generator)
        self.labels = (self.points.sum(1) > 0).long()
        self.augment = augment

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        point = self.points[index]
        if self.augment:
            noise = torch.randn(FEATURES) * random.random()
            point = point + noise + float(np.random.rand())
        return point, self.labels[index], index


def toy_model() -> nn.Sequential:
    """A network with dropout and batch normalization."""
    return nn.Sequential(
        nn.Linear(FEATURES, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(8, CLASSES),
    )


def quiet_logger(console: io.StringIO | None = None) -> RunLogger:
    """A logger that keeps the terminal clean.

    Args:
        console: Gets the lines; ``None``: nobody does.
    """
    return build_logger("toy", console=io.StringIO() if console is None else console)


def echo_trainer(
    work_dir: Path | str = "unused", *, seed: int = 0, **facilities: Any
) -> TrainEngine:
    """A trainer whose step returns its batch: for tests of everything around steps.

    Args:
        work_dir: Folder that hooks write into.
        seed: The run's.
        facilities: What hooks find on their ``runner``; a quiet logger is there.
    """
    return TrainEngine(
        lambda _, batch: batch,
        RunState(seed=seed),
        work_dir=work_dir,
        facilities={"logger": quiet_logger(), **facilities},
    )


def toy_run(
    plan: ToyPlan,
    *,
    work_dir: Path,
    stop_after: int | None = None,
    resume_from: Path | str | None = None,
) -> ToyResult:
    """Train as planned, from the start or from a checkpoint, to the end or to a stop.

    A resumed run starts with other weights and generators than the plan's seed gives,
    so that whatever the checkpoint does not bring back shows.

    Args:
        plan: What to do.
        work_dir: Folder of checkpoints.
        stop_after: Interrupt when so many iterations of the run are finished, counted
            from its first start, and save to ``checkpoint``; 0: save before the first.
        resume_from: A checkpoint.
    """
    with fence():
        seed_everything(plan.seed + (1000 if resume_from else 0))
        return _toy_run(plan, work_dir, stop_after, resume_from)


def _toy_run(
    plan: ToyPlan,
    work_dir: Path,
    stop_after: int | None,
    resume_from: Path | str | None,
) -> ToyResult:
    model = toy_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    losses: list[float] = []
    ids: list[list[int]] = []
    metrics: list[tuple[int, dict[str, float]]] = []

    def train(_: TrainEngine, batch: Any) -> dict[str, Tensor]:
        points, labels, numbers = batch
        loss = nn.functional.cross_entropy(model(points), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's, by version
        optimizer.step()
        losses.append(loss.item())
        ids.append(numbers.tolist())
        return {"loss": loss.detach()}

    trainer = TrainEngine(
        train,
        RunState(seed=plan.seed),
        work_dir=work_dir,
        facilities={"logger": quiet_logger()},
    )
    trainer.track(model=model, optimizer=optimizer)
    if plan.val_interval:
        validator = EvalEngine(
            lambda _, batch: (model(batch[0]), batch[1]),
            metrics={"accuracy": Accuracy()},
            model=model,
        )
        held_out = DataLoader(ToyData(11), batch_size=4)
        trainer.validate_with(
            validator,
            held_out,
            by_epoch=not plan.max_iters,
            interval=plan.val_interval,
        )

        @validator.on(Events.EPOCH_COMPLETED)
        def note_metrics(validator: EvalEngine) -> None:
            metrics.append((trainer.run_state.iteration, dict(validator.metrics)))

    if plan.save_interval:
        trainer.add_hook(CheckpointHook(by_epoch=False, interval=plan.save_interval))

    if stop_after:

        @trainer.on(Events.ITERATION_COMPLETED(once=stop_after), priority=Priority.LOW)
        def interrupt(trainer: TrainEngine) -> None:
            trainer.interrupt()

    if resume_from is not None:
        trainer.resume(resume_from)
    if stop_after != 0:
        data = ToyData(plan.samples, augment=plan.augment)
        loader = DataLoader(
            data,
            batch_size=plan.batch_size,
            shuffle=plan.shuffle,
            drop_last=plan.drop_last,
            num_workers=plan.workers,
        )
        trainer.run(loader, **plan.bound)
    checkpoint = None
    if stop_after is not None:
        done = trainer.run_state.iteration
        checkpoint = trainer.save_checkpoint(work_dir / f"stopped_{done}.pth")
    state = trainer.run_state.state_dict()
    del state["elapsed_seconds"]
    return ToyResult(
        losses=losses,
        ids=ids,
        metrics=metrics,
        state=state,
        weights={name: value.clone() for name, value in model.state_dict().items()},
        optimizer=copy.deepcopy(optimizer.state_dict()),
        generators=_generators(),
        checkpoint=checkpoint,
    )


def _generators() -> dict[str, Any]:
    captured: dict[str, Any] = capture_randomness()
    return captured


def assert_same(found: Any, expected: Any, where: str = "it") -> None:
    """Two trees of tensors and plain values are equal, bit by bit.

    Raises:
        AssertionError: Naming the first place where they differ.
    """
    assert type(found) is type(expected), f"{where}: {found!r}, not {expected!r}"
    if isinstance(found, dict):
        _assert_same_keys(found, expected, where)
        for key, value in found.items():
            assert_same(value, expected[key], f"{where}[{key!r}]")
    elif isinstance(found, list | tuple):
        assert len(found) == len(expected), f"{where}: {found!r}, not {expected!r}"
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_same(one, other, f"{where}[{index}]")
    elif isinstance(found, Tensor):
        same = found.dtype == expected.dtype and torch.equal(found, expected)
        assert same, f"{where}: {found}, not {expected}"
    else:
        assert found == expected, f"{where}: {found!r}, not {expected!r}"


def _assert_same_keys(
    found: Mapping[Any, Any], expected: Mapping[Any, Any], where: str
) -> None:
    assert set(found) == set(expected), f"{where}: {set(found) ^ set(expected)} differ"
