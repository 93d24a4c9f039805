"""Checkpoints beside MMEngine's: the same files, and runs that go on from its own.

    python tests/oracle/checkpoints_against_mmengine.py

Several settings of its ``CheckpointHook`` leave the same names as ours, and a run that
MMEngine began, by epochs and by iterations, goes on here to the weights and learning
rates that MMEngine reaches itself.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any
from uuid import uuid4

import mmengine.runner
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import engine
from engine.runner import Runner, find_latest_checkpoint

EPOCHS, SAMPLES, BATCH = 4, 7, 2
SCORES = [0.5, 0.7, 0.7, 0.6]


def data() -> list[dict[str, Any]]:
    """Samples, the same at each call."""
    generator = torch.Generator().manual_seed(3)
    return [
        {"inputs": torch.randn(2, generator=generator), "data_samples": index}
        for index in range(SAMPLES)
    ]


def loss_of(layer: nn.Module, inputs: Any) -> dict[str, torch.Tensor]:
    """What both models minimize."""
    return {"loss": (layer(torch.stack(list(inputs))) - 1).square().mean()}


class Theirs(BaseModel):  # type: ignore[misc]  # MMEngine has no types
    """MMEngine's model."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(2, 1)

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "") -> Any:
        """Loss, or a prediction of no interest."""
        return loss_of(self.layer, inputs) if mode == "loss" else [0]


class Ours(engine.BaseModel):
    """The same of ours."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(2, 1)

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "") -> Any:
        """Loss, or a prediction of no interest."""
        return loss_of(self.layer, inputs) if mode == "loss" else [0]


def scores(base: Any) -> Any:
    """An evaluator with given scores, one for each validation."""

    class Scores(base):  # type: ignore[misc]  # its base is an argument
        def __init__(self) -> None:
            super().__init__()
            self.left = list(SCORES)

        def process(self, data_batch: Any, data_samples: Any) -> None:
            self.results.append(1)

        def compute_metrics(self, results: Any) -> dict[str, float]:
            value = self.left.pop(0)
            return {"acc": value, "wer_loss": value}

    return Scores()


def settings(hook: dict[str, Any], bound: dict[str, Any]) -> dict[str, Any]:
    """What both runners are given."""
    loader = {
        "dataset": data(),
        "batch_size": BATCH,
        "sampler": {"type": "DefaultSampler", "shuffle": True},
    }
    return {
        "train_dataloader": loader,
        "train_cfg": bound,
        "optim_wrapper": {
            "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9},
        },
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 0.1, "end": 3, "by_epoch": False},
            {"type": "MultiStepLR", "milestones": [5, 9], "by_epoch": False},
        ],
        "default_hooks": {"checkpoint": {"type": "CheckpointHook", **hook}},
        "randomness": {"seed": 5},
    }


def run(kind: Any, model: Any, base: Any, folder: Path, **more: Any) -> Any:
    """Train with either."""
    evaluated = more.pop("evaluated", True)
    options = settings(more.pop("hook"), more.pop("bound"))
    if evaluated:
        options["val_dataloader"] = {
            "dataset": data(),
            "batch_size": BATCH,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
        }
        options["val_cfg"] = {}
        options["val_evaluator"] = [scores(base)]
    # MMEngine's visualizers are global, by this name and the second of the start.
    options["experiment_name"] = uuid4().hex
    runner = kind(model, str(folder), log_level="ERROR", **options, **more)
    runner.train()
    return runner


def names(folder: Path) -> set[str]:
    """Checkpoints in a folder, those below it too."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*.pth")}


def compare_names(hook: dict[str, Any], folder: Path) -> None:
    """The same files, and the same one pointed to."""
    bound = {"by_epoch": True, "max_epochs": EPOCHS}
    sides = {
        "mmengine": (mmengine.runner.Runner, Theirs(), BaseMetric),
        "engine": (Runner, Ours(), engine.BaseMetric),
    }
    found = {}
    for name, (kind, model, base) in sides.items():
        place = folder / name
        run(kind, model, base, place / "run", hook=dict(hook), bound=bound)
        latest = find_latest_checkpoint(place / "run")
        found[name] = (names(place), latest and Path(latest).name)
    if found["mmengine"] != found["engine"]:
        sys.exit(f"{hook}: MMEngine leaves {found['mmengine']}, we {found['engine']}")


def compare_resume(bound: dict[str, Any], at: str, folder: Path) -> None:
    """MMEngine's run from its middle on: our weights and learning rate are its own."""
    hook = {"interval": 1, "by_epoch": bound["by_epoch"]}
    theirs = run(
        mmengine.runner.Runner,
        Theirs(),
        BaseMetric,
        folder / "mmengine",
        hook=hook,
        bound=bound,
        evaluated=False,
    )
    ours = run(
        Runner,
        Ours(),
        engine.BaseMetric,
        folder / "engine",
        hook=hook,
        bound=bound,
        evaluated=False,
        load_from=str(folder / "mmengine" / at),
        resume=True,
    )
    assert ours.iter == theirs.iter, (ours.iter, theirs.iter)
    for name, value in theirs.model.state_dict().items():
        mine = ours.model.state_dict()[name]
        if not torch.equal(mine, value):
            sys.exit(f"{bound} from {at}: {name} is {mine}, MMEngine's {value}")
    assert ours.optim_wrapper.get_lr() == theirs.optim_wrapper.get_lr()
    history = ours.message_hub.get_scalar("train/loss")
    assert len(history) == theirs.iter, "the scalars of before the resume are there"


def main() -> None:
    """Compare all; exits with a message at the first difference."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    hooks: list[dict[str, Any]] = [
        {"interval": 1},
        {"interval": 2, "max_keep_ckpts": 1},
        {"interval": 3, "save_last": False},
        {"interval": 1, "save_begin": 2, "max_keep_ckpts": 2},
        {"interval": 1, "save_best": "acc", "max_keep_ckpts": 1},
        {"interval": 1, "save_best": "auto"},
        {"interval": 2, "save_best": ["acc", "wer_loss"]},
        {"interval": 2, "save_best": "acc", "rule": "less"},
        {"interval": 2, "by_epoch": False, "max_keep_ckpts": 3},
        {"interval": 1, "filename_tmpl": "toy_{}.pth", "save_best": "acc"},
    ]
    for number, hook in enumerate(hooks):
        with tempfile.TemporaryDirectory() as folder:
            compare_names(hook, Path(folder))
        print(f"{number + 1}/{len(hooks)} the same files: {hook}")  # noqa: T201
    bounds: list[tuple[dict[str, Any], str]] = [
        ({"by_epoch": True, "max_epochs": EPOCHS}, "epoch_1.pth"),
        ({"by_epoch": True, "max_epochs": EPOCHS}, "epoch_3.pth"),
        ({"by_epoch": False, "max_iters": 10}, "iter_3.pth"),
        ({"by_epoch": False, "max_iters": 10}, "iter_8.pth"),
    ]
    for bound, at in bounds:
        with tempfile.TemporaryDirectory() as folder:
            compare_resume(bound, at, Path(folder))
        print(f"{bound} goes on from MMEngine's {at} as MMEngine does")  # noqa: T201


if __name__ == "__main__":
    main()
