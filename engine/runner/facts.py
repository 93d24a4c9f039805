"""What a Runner can be asked: where the run is, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.build import bounded_by_iters
from engine.dataset import data_length
from engine.dist import get_rank, get_world_size

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from engine.build import RunParts
    from engine.config import Config
    from engine.hooks import Hook, HookSet
    from engine.logging import RunLogger
    from engine.loops import Clock
    from engine.state import MessageHub, RunState

__all__ = ["RunnerFacts"]


class RunnerFacts:
    """The read-only properties of a Runner.

    Asking for a loop, its loader or its evaluator builds it, if it was given: that is
    when it is first needed.
    """

    clock: Clock
    hook_set: HookSet
    parts: RunParts
    _cfg: Config
    _experiment_name: str
    _launcher: str
    _logger: RunLogger
    _model: nn.Module
    _standing_in: nn.Module | None = None
    _state: RunState
    _timestamp: str
    _visualizer: Any
    _randomness: dict[str, Any]
    _work_dir: Path
    _log_dir: Path
    _model_name: str

    # -- where the run is --------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Index of the one in progress while its handlers run, else epochs done."""
        return self.clock.epoch

    @property
    def iter(self) -> int:
        """Index of the one in progress while its handlers run, else iterations done."""
        return self.clock.iter

    @property
    def max_epochs(self) -> int:
        """Epochs to train; 1 in a run bounded by iterations or without training."""
        return self._of_training("max_epochs", 1)

    @property
    def max_iters(self) -> int:
        """Iterations to train; 0 without training or a length.

        Of a run bounded by epochs also 0 until something needs its training loop, since
        only the data, which a test must not open, tells how long an epoch is.
        """
        known = self._of_training("max_iters", 0)
        if known or self.parts.train_loop is None:
            return known
        length = data_length(self.parts.train_loop.dataloader) or 0
        return self.max_epochs * length  # of a loop that does not say

    @property
    def state(self) -> RunState:
        """Where the run is."""
        return self._state

    @property
    def message_hub(self) -> MessageHub:
        """Scalars and facts of the run."""
        return self.state.hub

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.state.seed

    @property
    def deterministic(self) -> bool:
        """Whether torch uses deterministic operations only."""
        return bool(self._randomness["deterministic"])

    # -- what the run is ---------------------------------------------------------

    @property
    def experiment_name(self) -> str:
        """The run's name with the start's time."""
        return self._experiment_name

    @property
    def timestamp(self) -> str:
        """The start's time."""
        return self._timestamp

    @property
    def cfg(self) -> Config:
        """The config that this was made from; empty without one."""
        return self._cfg

    @property
    def model(self) -> nn.Module:
        """The model, in its wrapper if it has one, or what stands in for it."""
        return self._model if self._standing_in is None else self._standing_in

    def stand_in(self, model: nn.Module | None) -> None:
        """Let another model stand in the place of the run's, until given ``None``.

        What is saved, loaded and trained is the run's own.
        """
        self._standing_in = model

    @property
    def logger(self) -> RunLogger:
        """The run's logger."""
        return self._logger

    @property
    def visualizer(self) -> Any:
        """What writes scalars."""
        return self._visualizer

    @property
    def work_dir(self) -> Path:
        """Folder for checkpoints."""
        return self._work_dir

    @property
    def log_dir(self) -> Path:
        """Folder for this start's logs."""
        return self._log_dir

    @property
    def model_name(self) -> str:
        """Name of the model's class."""
        return self._model_name

    @property
    def hooks(self) -> list[Hook]:
        """All hooks in running order."""
        return self.hook_set.hooks

    @property
    def launcher(self) -> str:
        """How processes were started; ``"none"``: this one by hand."""
        return self._launcher

    @property
    def rank(self) -> int:
        """This process's rank."""
        return get_rank()

    @property
    def world_size(self) -> int:
        """Processes in the run."""
        return get_world_size()

    @property
    def distributed(self) -> bool:
        """Whether there are several processes."""
        return self.world_size > 1

    @property
    def train_loop(self) -> Any:
        """The training loop; ``None`` in a Runner without training."""
        return self.parts.need_train_loop()

    @property
    def val_loop(self) -> Any:
        """The validation loop; ``None`` in a Runner without validation."""
        return self.parts.need_val_loop()

    @property
    def test_loop(self) -> Any:
        """The test loop; ``None`` in a Runner without tests."""
        return self.parts.need_test_loop()

    @property
    def train_dataloader(self) -> Any:
        """The training loader; ``None`` in a Runner without training."""
        return getattr(self.train_loop, "dataloader", None)

    @property
    def val_dataloader(self) -> Any:
        """The validation loader; ``None`` in a Runner without validation."""
        return getattr(self.val_loop, "dataloader", None)

    @property
    def test_dataloader(self) -> Any:
        """The test loader; ``None`` in a Runner without tests."""
        return getattr(self.test_loop, "dataloader", None)

    @property
    def val_evaluator(self) -> Any:
        """The validation's evaluator; ``None`` in a Runner without validation."""
        return getattr(self.val_loop, "evaluator", None)

    @property
    def test_evaluator(self) -> Any:
        """The test's evaluator; ``None`` in a Runner without tests."""
        return getattr(self.test_loop, "evaluator", None)

    @property
    def optim_wrapper(self) -> Any:
        """The optimizer wrapper; ``None`` until training needs it."""
        return self.parts.optim_wrapper

    @property
    def param_schedulers(self) -> Any:
        """The schedules; empty until training needs them."""
        return self.parts.param_schedulers

    @property
    def val_interval(self) -> int:
        """Epochs (or iterations) between validations; 1 without training."""
        by_iters = bounded_by_iters(self.parts.given["train_cfg"])
        return self._of_training("val_interval", 1000 if by_iters else 1)

    @property
    def val_begin(self) -> int:
        """The first epoch (or iteration) before a validation; 1 without training."""
        return self._of_training("val_begin", 1)

    def _of_training(self, name: str, default: int) -> int:
        # Of the loop if there is one, else of its settings: a test must not open the
        # training data.
        loop = self.parts.train_loop
        if loop is None and isinstance(self.parts.given["train_cfg"], Mapping):
            found = self.parts.given["train_cfg"].get(name)
        else:
            found = getattr(loop or self.parts.given["train_cfg"], name, None)
        return found if isinstance(found, int) and found else default
