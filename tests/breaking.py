"""Runs that are cut at a chosen place: by a signal to the process, or by an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import define, field, frozen

from engine import CheckpointHook, Hook, Priority
from tests.runs import Recorder, RunPlan, Samples, Spread, make_runner

if TYPE_CHECKING:
    from pathlib import Path

    from engine import Runner
    from engine.state import RunContext

__all__ = ["PLACES", "Cut", "Place", "broken_runner"]

PLACES = (
    "before_run",
    "before_train",
    "before_train_epoch",
    "data",
    "before_train_iter",
    "forward",
    "backward",
    "before_optimizer_step",
    "after_optimizer_step",
    "after_train_iter",
    "before_save_checkpoint",
    "before_val",
    "validation data",
    "before_val_iter",
    "after_val_iter",
    "metrics",
    "after_val_epoch",
    "after_val",
    "after_train_epoch",
    "after_train",
)
"""Where a run can be cut."""


@frozen
class Cut:
    """Where a run is cut.

    Args:
        place: One of ``PLACES``.
        occurrence: Which time, from 1.
    """

    place: str
    occurrence: int


@define
class Place:
    """Counts how often the run comes by, and acts at one of those times.

    Args:
        cut: Where.
        act: What is done there.
        acted: Whether it was.
    """

    cut: Cut
    act: Callable[[], object]
    acted: bool = False
    passed: Counter[str] = field(factory=Counter)

    def come_by(self, place: str) -> None:
        """The run is at that place."""
        self.passed[place] += 1
        if place == self.cut.place and self.passed[place] == self.cut.occurrence:
            self.acted = True
            self.act()


class _Watch(Hook):
    """Comes by at each of the hooks' places, after all other hooks but one."""

    priority: ClassVar[Priority] = Priority.LOW

    def __init__(self, place: Place) -> None:
        for name in PLACES:
            if name.startswith(("before_", "after_")):
                setattr(self, name, self._at(place, name))

    @staticmethod
    def _at(place: Place, name: str) -> Callable[..., None]:
        def come_by(runner: RunContext, *_: Any, **__: Any) -> None:
            place.come_by(name)

        return come_by


class _Counting(Hook):
    """Remembers how many batches it saw in validations: each of them once."""

    def __init__(self) -> None:
        self.batches = 0

    def after_val_iter(self, runner: RunContext, *_: Any, **__: Any) -> None:
        self.batches += 1
        runner.message_hub.update_info("validated", self.batches)

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self.batches}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.batches = state["batches"]


class _Samples(Samples):
    """Comes by at each sample."""

    def __init__(self, size: int, where: str, place: Place) -> None:
        super().__init__(size, augment=True)
        self._where, self._place = where, place

    def __getitem__(self, index: int) -> Any:
        sample = super().__getitem__(index)
        self._place.come_by(self._where)
        return sample


class _Spread(Spread):
    """Comes by when the metrics are computed."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    def compute_metrics(self, results: list[Any]) -> Any:
        metrics = super().compute_metrics(results)
        self._place.come_by("metrics")
        return metrics


def broken_runner(
    plan: RunPlan, work_dir: Path, place: Place, *, interval: int = 3, **changes: Any
) -> Runner:
    """A toy run that comes by at each place.

    Args:
        plan: What it does, with validations.
        work_dir: Its folder.
        place: What happens there.
        interval: Iterations between two checkpoints.
        changes: Arguments of the Runner.
    """
    hooks = [
        _Counting(),
        Recorder(),
        _Watch(place),
        CheckpointHook(interval=interval, by_epoch=False),
    ]
    arguments: dict[str, Any] = {
        "train_dataloader": {
            "dataset": _Samples(plan.size, "data", place),
            "batch_size": plan.batch_size,
            "shuffle": True,
            "num_workers": plan.workers,
            "collate_fn": "default_collate",
        },
        "val_dataloader": {
            "dataset": _Samples(5, "validation data", place),
            "batch_size": 3,
            "shuffle": True,
            "collate_fn": "default_collate",
        },
        "val_evaluator": _Spread(place),
        "custom_hooks": [*hooks, *changes.pop("more_hooks", [])],
    }
    runner = make_runner(plan, work_dir, **{**arguments, **changes})
    module = runner.model
    module.register_forward_pre_hook(
        lambda *_: place.come_by("forward") if module.training else None
    )
    first = next(iter(module.parameters()))
    first.register_hook(lambda _: place.come_by("backward"))  # type: ignore[no-untyped-call]  # torch's
    return runner
