"""Gives cached memory of the device back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from engine.errors import check_switch
from engine.events import Priority
from engine.hooks.hook import Hook
from engine.registry import HOOKS

if TYPE_CHECKING:
    from engine.state import RunContext

__all__ = ["EmptyCacheHook"]


@HOOKS.register_module()
class EmptyCacheHook(Hook):
    """Gives memory that CUDA's allocator caches and nobody uses back to the device.

    In training, validation and test alike. It makes room for other processes on the
    device, and costs time.

    Args:
        before_epoch: Whether before an epoch.
        after_epoch: Whether after an epoch.
        after_iter: Whether after an iteration.

    Raises:
        ConfigError: One is neither true nor false.
    """

    priority: ClassVar[Priority] = Priority.NORMAL

    def __init__(
        self,
        before_epoch: bool = False,
        after_epoch: bool = True,
        after_iter: bool = False,
    ) -> None:
        # Set on the hook itself: a method that is not there costs nothing.
        for name, wanted in (
            ("before_epoch", before_epoch),
            ("after_epoch", after_epoch),
            ("after_iter", after_iter),
        ):
            check_switch(f"EmptyCacheHook: {name}", wanted)
            if wanted:
                setattr(self, name, self._empty)

    def _empty(self, runner: RunContext, *_: Any, **__: Any) -> None:
        torch.cuda.empty_cache()
