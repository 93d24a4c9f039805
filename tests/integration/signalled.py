"""The config of ``killable.py`` in a process that sends itself a signal.

In the environment, ``SIGNAL``: its name; ``PLACE``: where it is sent;
``AGAIN``: whether it is sent twice. With ``worker`` a loader process sends
it, to the whole process group, as a terminal and some schedulers do.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from torch.utils.data import get_worker_info

from engine import Hook
from tests.integration import killable

if TYPE_CHECKING:
    from engine.state import RunContext

NUMBER = signal.Signals[os.environ.get("SIGNAL", "SIGTERM")]
PLACE = os.environ.get("PLACE", "")
TIMES = 2 if "AGAIN" in os.environ else 1

if get_worker_info() is None:
    os.setpgrp()  # so that the group's signals reach no one else
# Tests may run where it is ignored, and so would be their children's.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Digits(killable.Digits):
    """Sends the signal when a worker reads the 40th sample, and main waits for it."""

    read = 0

    def __getitem__(self, index: int) -> Any:
        self.read += 1
        worker = get_worker_info()  # one of them: a second signal kills
        first = worker is not None and worker.id == 0
        if PLACE == "worker" and first and self.read == 40:
            os.killpg(os.getpgrp(), NUMBER)
        return super().__getitem__(index)


class Net(killable.Net):
    """Sends it in the eighth forward pass of training."""

    passes = 0

    def forward(self, batch: Any) -> Any:
        self.passes += self.training
        send("forward", self.training and self.passes == 8)
        return super().forward(batch)  # type: ignore[no-untyped-call]  # torch's


class Hits(killable.Hits):
    """Sends it in the first batch of a validation."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        send("validation", when=not self.results)
        super().process(data_batch, data_samples)


class Send(Hook):
    """Sends it while something is done."""

    def before_optimizer_step(self, runner: RunContext) -> None:
        send("step", runner.state.iteration == 9)

    def before_save_checkpoint(self, runner: RunContext, checkpoint: Any) -> None:
        send("save", runner.state.iteration == 12)


def send(place: str, when: bool) -> None:
    """Send the signal, if that is where."""
    if place == PLACE and when:
        for _ in range(TIMES):
            os.kill(os.getpid(), NUMBER)


model = {**killable.model, "module": {"type": Net}}
train_dataloader = {**killable.train_dataloader, "dataset": Digits(0, 110)}
val_dataloader = killable.val_dataloader
train_cfg = killable.train_cfg
val_cfg = killable.val_cfg
optim_wrapper = killable.optim_wrapper
param_scheduler = killable.param_scheduler
val_evaluator = Hits()
default_hooks = killable.default_hooks
custom_hooks = [killable.Tell(), Send()]
randomness = killable.randomness
