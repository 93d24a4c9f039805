"""A list of every class of the engine that remembers; each is shown to come back.

A class with ``state_dict`` that is not on the list fails the first test.
"""

from __future__ import annotations

import importlib
import inspect
import io
import pkgutil
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen
from ignite.metrics import Precision
from torch import nn
from torchmetrics.classification import MulticlassAccuracy

import engine
from engine import (
    BaseMetric,
    CheckpointHook,
    Evaluator,
    Hook,
    MessageHub,
    RunState,
    TrainEngine,
)
from engine.evaluator import DumpResults, IgniteMetric, TorchMetric
from engine.evaluator.ignite_memory import IgniteMemory
from engine.events import Bus
from engine.hooks import EarlyStoppingHook, HookSet
from engine.loops.inside import Gathered
from engine.model import (
    ExponentialMovingAverage,
    MomentumAnnealingEMA,
    StochasticWeightAverage,
)
from engine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict
from engine.optim.scheduler import TorchSchedule
from engine.registry import PARAM_SCHEDULERS
from engine.state import DueKind, GeneratorState, HistoryBuffer, Phase
from tests.runs import bits


@frozen
class Memory:
    """How a class remembers.

    Args:
        make: A fresh object, always the same.
        use: Changes what it remembers; twice gives something else than once.
        tell: What it remembers, as plain data; ``None``: its state.
    """

    make: Callable[[], Any]
    use: Callable[[Any], object]
    tell: Callable[[Any], Any] | None = None


class Scheduled:
    """A schedule and the optimizer that its values lie in: they are saved together."""

    def __init__(self, make: Callable[[torch.optim.Optimizer], Any]) -> None:
        parameter = nn.Parameter(torch.ones(2))
        self.optimizer = torch.optim.SGD([parameter], lr=0.5, momentum=0.9)
        self.schedule = make(self.optimizer)

    def state_dict(self) -> dict[str, Any]:
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])

    def step(self) -> None:
        self.optimizer.step()
        metrics = getattr(self.schedule, "need_val_args", False)
        self.schedule.step()
        if metrics:
            self.schedule.step({"loss": 1.0})


ARGUMENTS: dict[str, dict[str, Any]] = {
    "Constant": {"factor": 0.5, "end": 3},
    "CosineAnnealing": {"T_max": 7},
    "CosineRestart": {"periods": [3, 4], "restart_weights": [1, 0.5], "eta_min": 0.1},
    "Exponential": {"gamma": 0.9},
    "Linear": {"start_factor": 0.1, "end": 6},
    "MultiStep": {"milestones": [1, 3]},
    "OneCycle": {"eta_max": 1.0, "total_steps": 9},
    "Poly": {"end": 7},
    "ReduceOnPlateau": {"patience": 0, "factor": 0.5},
    "Step": {"step_size": 2},
}


def schedule(name: str, kind: str) -> Memory:
    """A schedule of that name in one of its three forms."""
    more = {"param_name": "lr"} if kind == "ParamScheduler" else {}
    spec = {"type": f"{name}{kind}", **ARGUMENTS[name], **more}
    return Memory(
        lambda: Scheduled(lambda one: PARAM_SCHEDULERS.build(spec, optimizer=one)),
        lambda held: held.step(),
    )


class Trained:
    """A wrapper and the weights that it changes: they are saved together."""

    def __init__(self, wrap: Callable[[Any], Any]) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(2, 2)
        groups: list[dict[str, Any]] = [
            {"params": [self.model.weight]},
            {"params": [self.model.bias], "lr": 0.1},
        ]
        self.wrapper = wrap(torch.optim.Adam(groups, lr=0.2))

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "wrapper": self.wrapper.state_dict(),
            "gradients": self.wrapper.gradient_state(),
            "counts": self.wrapper.count_state(),
        }

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.model.load_state_dict(state["model"])
        self.wrapper.load_state_dict(state["wrapper"])
        self.wrapper.load_gradient_state(state["gradients"])
        self.wrapper.load_count_state(state["counts"])

    def step(self) -> None:
        wrapper = self.wrapper
        one = wrapper["one"] if isinstance(wrapper, OptimWrapperDict) else wrapper
        one.update_params(self.model(torch.ones(3, 2)).square().sum())


def wrapper(wrap: Callable[[Any], Any]) -> Memory:
    """A wrapper in a window of two iterations."""
    return Memory(lambda: Trained(wrap), lambda held: held.step())


def average(kind: Any, **more: Any) -> Memory:
    """An average of a model whose weights move."""

    def use(held: Any) -> None:
        source = nn.Linear(2, 2)
        nn.init.constant_(source.weight, held.steps.item() ** 2)
        nn.init.constant_(source.bias, 1.0)
        held.update_parameters(source)

    def make() -> Any:
        torch.manual_seed(0)
        return kind(nn.Linear(2, 2), **more)

    return Memory(make, use)


def hub() -> MessageHub:
    """A hub with a scalar and a fact."""
    return MessageHub("laws")


def use_hub(held: MessageHub) -> None:
    """One more value of each."""
    count = len(held.get_scalar("loss")) if "loss" in held.log_scalars else 0
    held.update_scalar("loss", 0.5 + count)
    held.update_info("count", count)


def use_state(held: RunState) -> None:
    """An iteration more, and something owed."""
    held.progress.finish_iteration(4, 3)
    held.owe(DueKind.SAVE, "hook", f"iter_{held.iteration}.pth")


class Counter(Hook):
    """A hook that counts."""

    def __init__(self) -> None:
        self.count = 0

    def state_dict(self) -> dict[str, int]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, int], /) -> None:
        self.count = state["count"]

    def after_train_iter(self, runner: Any, *args: Any, **more: Any) -> None:
        self.count += 1


def hook_set() -> HookSet:
    """A set with one hook that counts."""
    hooks = HookSet(None)
    hooks.add(Counter())
    return hooks


def trainer() -> TrainEngine:
    """A trainer without data."""
    made = TrainEngine(lambda engine, batch: torch.rand(()), RunState(seed=3))
    made.add_hook(Counter())
    return made


def train(held: TrainEngine) -> None:
    """One more epoch."""
    held.run(None, max_epochs=held.run_state.epoch + 1, epoch_length=2)


class _Run:
    """As much of a runner as a checkpoint hook looks at."""

    def __init__(self) -> None:
        self.state = RunState()
        self.state.set_limits(max_epochs=9)
        self.state.move(Phase.TRAINING)
        self.state.move(Phase.VALIDATING)
        self.epoch = self.iter = 0

    def owe(self, kind: DueKind, owner: object, name: str = "") -> None:
        self.state.owe(kind, "hook", name)


class Mean(BaseMetric):
    """A metric that remembers beside its results."""

    def __init__(self) -> None:
        super().__init__()
        self.total = torch.zeros(())
        self.seen: dict[str, int] = {}

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [np.float64(one) for one in data_samples]
        self.total += sum(data_samples)
        self.seen["batches"] = self.seen.get("batches", 0) + 1

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {"mean": float(self.total) / len(results)}


def evaluator() -> Evaluator:
    """An evaluator at the begin of an evaluation."""
    made = Evaluator([Mean()])
    made.watch()
    return made


def use_evaluator(held: Evaluator) -> None:
    """One more batch."""
    held.process([1.0, 2.0])


def library(make: Callable[[], Any]) -> Memory:
    """A metric that is fed what ``StepModel`` returns."""
    batch = {"outputs": torch.eye(3)[[0, 2]], "targets": torch.tensor([0, 1])}

    def begun() -> Any:
        metric = make()
        metric.watch()
        return metric

    return Memory(begun, lambda held: held.process(None, [batch]))


class Watched(Gathered):
    """What an evaluator has gathered."""

    def __init__(self) -> None:
        self.evaluator = Evaluator([Mean()])
        super().__init__(self.evaluator, Bus(None, str))


MEMORIES: dict[str, Memory] = {
    **{
        f"{name}{kind}": schedule(name, kind)
        for name in ARGUMENTS
        for kind in ("LR", "Momentum", "ParamScheduler")
    },
    "TorchSchedule": Memory(
        lambda: Scheduled(
            lambda one: TorchSchedule(torch.optim.lr_scheduler.StepLR(one, 2))
        ),
        lambda held: held.step(),
    ),
    "OptimWrapper": wrapper(lambda one: OptimWrapper(one, 2)),
    "AmpOptimWrapper": wrapper(
        lambda one: AmpOptimWrapper(
            optimizer=one, accumulative_counts=2, loss_scale=4.0, dtype="bfloat16"
        )
    ),
    "OptimWrapperDict": wrapper(lambda one: OptimWrapperDict(one=OptimWrapper(one, 2))),
    "ExponentialMovingAverage": average(ExponentialMovingAverage, momentum=0.1),
    "MomentumAnnealingEMA": average(MomentumAnnealingEMA, momentum=0.1, gamma=3),
    "StochasticWeightAverage": average(StochasticWeightAverage),
    "HistoryBuffer": Memory(
        lambda: HistoryBuffer(max_length=3), lambda held: held.update(len(held) + 0.5)
    ),
    "MessageHub": Memory(hub, use_hub),
    "RunState": Memory(lambda: RunState(seed=3), use_state),
    "GeneratorState": Memory(
        lambda: GeneratorState(np.random.default_rng(3)),
        lambda held: held.generator.random(),
    ),
    "GeneratorState of python": Memory(
        lambda: GeneratorState(random.Random(3)), lambda held: held.generator.random()
    ),
    "GeneratorState of torch": Memory(
        lambda: GeneratorState(torch.Generator().manual_seed(3)),
        lambda held: torch.rand((), generator=held.generator),
    ),
    "HookSet": Memory(
        hook_set, lambda held: held.hooks[0].after_train_iter(None, batch_idx=0)
    ),
    "TrainEngine": Memory(
        trainer,
        train,
        lambda held: {
            "run": {**held.run_state.state_dict(), "elapsed_seconds": 0},
            "hooks": held.context.hook_set.state_dict(),
        },
    ),
    "Evaluator": Memory(evaluator, use_evaluator),
    "Gathered": Memory(
        Watched, lambda held: use_evaluator(held.evaluator), Watched.state_dict
    ),
    "IgniteMetric": library(lambda: IgniteMetric(Precision())),
    "TorchMetric": library(lambda: TorchMetric(MulticlassAccuracy(3, average="micro"))),
    "DumpResults": library(lambda: DumpResults("unused.pkl")),
    "IgniteMemory": Memory(
        lambda: IgniteMemory(Precision()),
        lambda held: held.metric.update((torch.eye(3)[[0, 2]], torch.tensor([0, 1]))),
    ),
    "CheckpointHook": Memory(
        lambda: CheckpointHook(interval=1, save_best="loss"),
        lambda held: held.after_val_epoch(
            _Run(), {"loss": held.best_scores.get("loss", 1.0) / 2}
        ),
    ),
    "EarlyStoppingHook": Memory(
        lambda: EarlyStoppingHook("loss", patience=99),
        lambda held: held.after_val_epoch(_Run(), {"loss": 1.0}),
    ),
}

ELSEWHERE = {
    "EvalEngine": "one pass, whose state is the trainer's: tests/property/test_resume",
    "EventRecorder": "tests/unit/testing/test_toys.py",
    "NanGuardHook": "what it does needs a run: tests/property/test_nan_guard.py",
    "LocalVisBackend": "files that are cut back: tests/unit/visualization/test_local",
    **dict.fromkeys(
        (
            "AimVisBackend",
            "ClearMLVisBackend",
            "DVCLiveVisBackend",
            "MLflowVisBackend",
            "NeptuneVisBackend",
            "Sent",
            "TensorboardVisBackend",
            "WandbVisBackend",
        ),
        "what was shown: tests/property/test_shown_once",
    ),
    "Buckets": "needs ranks: tests/distributed/test_every_stop.py",
    "PowerMemory": "needs ranks: tests/distributed/test_ddp.py",
    "Visualizer": "its backends: tests/integration/test_resume_report.py",
    "ZeroRedundancyOptimizer": "needs ranks: tests/unit/optim/test_zero.py",
}


def remembering() -> set[str]:
    """Names of the engine's classes that have state, modules of models apart."""
    found = set()
    for module in pkgutil.walk_packages(engine.__path__, "engine."):
        if module.name.endswith("__main__"):
            continue
        for kind in vars(importlib.import_module(module.name)).values():
            has_state = (
                inspect.isclass(kind)
                and kind.__module__.startswith("engine.")
                and callable(getattr(kind, "load_state_dict", None))
                and not issubclass(kind, nn.Module)
            )
            if has_state and not (
                inspect.isabstract(kind)
                or getattr(kind, "_is_protocol", False)
                or kind.__name__.startswith("_")
            ):
                found.add(kind.__name__)
    return found - {"BaseVisBackend", "EventEngine", "InnerLoop", "SavedEngine"}


def test_the_list_is_complete() -> None:
    """Every class with state is on it, or it says where its proof is."""
    listed = {name.partition(" ")[0] for name in MEMORIES} | {*ELSEWHERE}
    assert remembering() - listed - {"LRSchedulerMixin", "MomentumSchedulerMixin"} == (
        set()
    )


@pytest.mark.parametrize("name", MEMORIES)
def test_it_comes_back(name: str) -> None:
    """Through a file, into a fresh object; and both go on alike from there."""
    memory = MEMORIES[name]
    tell = memory.tell or (lambda held: held.state_dict())
    used = memory.make()
    fresh = bits(tell(used)) if memory.tell is None else None
    for _ in range(3):
        memory.use(used)
    file = io.BytesIO()
    torch.save(used.state_dict(), file)
    file.seek(0)
    before = bits(tell(used))
    assert before != fresh
    again = memory.make()
    again.load_state_dict(torch.load(file, weights_only=True))
    assert bits(tell(again)) == before
    for one in (used, again):
        torch.manual_seed(0)
        memory.use(one)
    assert bits(tell(again)) == bits(tell(used))
    assert bits(tell(again)) != before
