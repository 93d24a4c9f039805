"""A small run on ranks, which breaks as it is told; what test_launch.py starts."""

import os
import signal
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.hooks import Hook
from engine.model import BaseModel


class Model(BaseModel):
    """One layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(
        self, inputs: Any, data_samples: Any = None, mode: str = "tensor"
    ) -> Any:
        out = self.layer(inputs)
        return {"loss": (out**2).mean()} if mode == "loss" else out


class Data:
    """Samples that are a function of their number."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        return {"inputs": torch.randn(4, generator=generator), "data_samples": 0}


def told_of_failure() -> bool:
    """Whether rank 0 has written that another rank is lost."""
    return any(
        "ended without a word" in path.read_text()
        for path in Path("work").glob("*/*.jsonl")
    )


class Break(Hook):
    """At one iteration of one rank (-1: of all), do what ``BREAK`` says.

    ``BREAK`` is like ``raise 1 3``: what, on which rank, before which iteration.
    """

    def before_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None
    ) -> None:
        how, rank, at = os.environ.get("BREAK", "nothing 0 0").split()
        if int(at) != runner.iter or int(rank) not in (-1, runner.rank):
            return
        if how == "raise":
            message = f"it broke on rank {rank}"
            raise ValueError(message)
        if how == "warn":
            runner.logger.warning("odd", line="something is odd")
            warnings.warn("something else is odd", stacklevel=1)
        if how == "stop":
            mine = signal.getsignal(signal.SIGTERM)
            os.kill(os.getppid(), signal.SIGTERM)  # the command that started this rank
            while signal.getsignal(signal.SIGTERM) == mine:
                time.sleep(0.001)  # until it came here
        while how == "hang" and not told_of_failure():
            time.sleep(0.01)
        once = Path("killed")
        if how == "kill" or (how == "kill_once" and not once.exists()):
            once.touch()
            os.kill(os.getpid(), 9)


model = {"type": Model}
train_dataloader = {
    "dataset": {"type": Data},
    "batch_size": 3,
    "sampler": {"type": "DefaultSampler"},
    "collate_fn": {"type": "default_collate"},
}
train_cfg = {"max_epochs": 2}
optim_wrapper = {"optimizer": {"type": "SGD", "lr": 0.1}}
custom_hooks = [{"type": Break}]
randomness = {"seed": 7}
env_cfg = {"dist_cfg": {"timeout": int(os.environ.get("TIMEOUT", "60"))}}
