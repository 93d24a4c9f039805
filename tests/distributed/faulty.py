"""The run of ``launched.py``, validated and saved by epochs; ``KILL`` ends a rank.

``KILL`` is like ``validation 1``: where, and which rank, once the first epoch is over.
"""

import os
import signal
from typing import Any

from torch.utils.data import Dataset

from engine import BaseMetric
from engine.checkpoint.hashing import HashingFile
from engine.hooks import Hook
from tests.distributed import launched

WHERE, RANK = os.environ.get("KILL", "nowhere 0").split()


class Kill(Hook):
    """Kills its rank at a place."""

    def _die(self, where: str, runner: Any) -> None:
        there = where == WHERE and runner.rank == int(RANK)
        if there and runner.state.iteration >= 5:
            os.kill(os.getpid(), signal.SIGKILL)

    def before_train(self, runner: Any) -> None:
        """In a backward, while the other rank waits for its gradient; in a write."""
        weight = runner.model.module.layer.weight
        weight.register_hook(lambda _: self._die("collective", runner))
        healthy = HashingFile.write

        def write(file: Any, data: Any) -> int:
            self._die("write", runner)
            return healthy(file, data)

        if WHERE == "write":
            HashingFile.write = write  # type: ignore[method-assign,assignment]

    def before_train_iter(self, runner: Any, batch_idx: int, *_: Any) -> None:
        self._die("forward", runner)

    def after_val_iter(self, runner: Any, batch_idx: int, *_: Any) -> None:
        self._die("validation", runner)

    def before_save_checkpoint(self, runner: Any, checkpoint: Any) -> None:
        self._die("save", runner)


class Count(BaseMetric):
    """How many samples there were."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [1] * len(data_batch["inputs"])

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        return {"count": len(results)}


class Data(launched.Data, Dataset[Any]):
    """The same samples."""


class Model(launched.Model):
    """The same layer, which predicts too."""

    def forward(
        self, inputs: Any, data_samples: Any = None, mode: str = "tensor"
    ) -> Any:
        found = super().forward(inputs, data_samples, mode)
        return [found] if mode == "predict" else found


model = {"type": Model}
train_dataloader = {**launched.train_dataloader, "dataset": {"type": Data}}
val_dataloader = {**launched.train_dataloader, "dataset": {"type": Data}}
train_cfg = {"max_epochs": 2}
val_cfg: dict[str, Any] = {}
val_evaluator = {"type": Count}
optim_wrapper = launched.optim_wrapper
custom_hooks = [{"type": Kill}]
randomness = launched.randomness
