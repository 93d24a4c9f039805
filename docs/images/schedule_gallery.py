"""The picture schedules.png: what each schedule does to a learning rate of 0.1.

It needs matplotlib (the extra ``plot``), and make_pictures.py calls it. Nothing is
trained: the schedules are built as in a run of 60 iterations in 6 epochs, and
rehearsed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from matplotlib.figure import Figure

from engine.build import build_param_schedulers
from engine.optim import OptimWrapper
from engine.optim.scheduler import Place, Rehearsal

if TYPE_CHECKING:
    from pathlib import Path

ITERATIONS, EPOCHS = 60, 6
BLUE, ORANGE = "#3465a4", "#ce5c00"

GALLERY: list[tuple[str, list[dict[str, Any]]]] = [
    ("ConstantLR", [{"factor": 0.3, "end": 20}]),
    ("LinearLR", [{"start_factor": 0.1, "end": 20}]),
    ("PolyLR", [{"power": 2.0, "eta_min": 0.001}]),
    ("CosineAnnealingLR", [{"eta_min": 0.001}]),
    (
        "CosineRestartLR",
        [{"periods": [15, 15, 30], "restart_weights": [1, 0.7, 0.5], "eta_min": 0.0}],
    ),
    ("OneCycleLR", [{"eta_max": 0.1}]),
    ("ExponentialLR", [{"gamma": 0.95}]),
    ("StepLR", [{"step_size": 15, "gamma": 0.5}]),
    ("MultiStepLR", [{"milestones": [20, 45], "gamma": 0.3}]),
    (
        "warm-up, then cosine",
        [
            {"type": "LinearLR", "start_factor": 0.1, "end": 10},
            {"type": "CosineAnnealingLR", "begin": 10},
        ],
    ),
    (
        "warm-up beside MultiStepLR",
        [
            {"type": "LinearLR", "start_factor": 0.1, "end": 25},
            {"type": "MultiStepLR", "milestones": [15, 40], "gamma": 0.5},
        ],
    ),
    ("CyclicLR (torch's)", [{"base_lr": 0.02, "max_lr": 0.1, "step_size_up": 10}]),
]


def curve(specs: list[dict[str, Any]]) -> tuple[list[int], list[float]]:
    """The learning rate at each iteration, or at each epoch's first one.

    Args:
        specs: Schedules that act on it together.
    """
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1, momentum=0.9)
    schedules = build_param_schedulers(
        specs, OptimWrapper(optimizer), max_epochs=EPOCHS, max_iters=ITERATIONS
    )
    rehearsal = Rehearsal(schedules)
    places, values = [], []
    length = ITERATIONS // EPOCHS
    for _, iteration in rehearsal.walk(Place(max_epochs=EPOCHS, epoch_length=length)):
        places.append(iteration)
        values.append(rehearsal.groups("")[0]["lr"])
    return places, values


def main(picture: Path) -> None:
    """Draw a panel for each entry, by iteration; the cosine by epoch as well."""
    figure = Figure(figsize=(11, 6.6), layout="constrained")
    for axes, (title, entries) in zip(
        figure.subplots(3, 4, sharex=True, sharey=True).flat, GALLERY, strict=True
    ):
        name = title.split(" ", maxsplit=1)[0]
        specs = [{"type": name, "by_epoch": False, **entry} for entry in entries]
        axes.plot(*curve(specs), color=BLUE, label="by iteration")
        if title == "CosineAnnealingLR":
            coarse = curve([{**specs[0], "by_epoch": True}])
            axes.plot(*coarse, color=ORANGE, drawstyle="steps-post", label="by epoch")
            axes.legend(frameon=False, fontsize=8)
        axes.set_title(title, fontsize=10)
        axes.set_ylim(0, 0.108)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.supxlabel("iteration (an epoch has 10)", fontsize=9)
    figure.supylabel("learning rate", fontsize=9)
    figure.savefig(picture, dpi=100, metadata={"Software": None}, format="png")
