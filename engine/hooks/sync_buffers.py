"""Makes the model's buffers equal on all ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from engine.dist import all_reduce_params, get_world_size
from engine.events import Priority
from engine.hooks.hook import Hook
from engine.registry import HOOKS

if TYPE_CHECKING:
    from engine.state import RunContext

__all__ = ["SyncBuffersHook"]


@HOOKS.register_module()
class SyncBuffersHook(Hook):
    """Averages the model's floating-point buffers over all ranks.

    Such as the running mean and variance of batch normalization, which each rank counts
    from its own batches: at the end of each epoch, and before each validation unless
    they were averaged just before. Whole numbers, such as counts of batches, stay. With
    one process it does nothing.
    """

    priority: ClassVar[Priority] = Priority.NORMAL
    transient: ClassVar[frozenset[str]] = frozenset({"_averaged_at"})

    def __init__(self) -> None:
        self._averaged_at = -1  # iterations done then

    def after_train_epoch(self, runner: RunContext) -> None:
        """Average them."""
        self._average(runner)

    def before_val_epoch(self, runner: RunContext) -> None:
        """Average them, if training went on since the last time."""
        if runner.state.progress.iteration != self._averaged_at:
            self._average(runner)

    def _average(self, runner: RunContext) -> None:
        self._averaged_at = runner.state.progress.iteration
        if get_world_size() > 1:
            all_reduce_params(
                [
                    buffer
                    for buffer in runner.model.buffers()
                    if buffer.is_floating_point()
                ],
                op="mean",
            )
