"""Tells samplers which epoch begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from engine.events import Priority
from engine.hooks.hook import Hook
from engine.registry import HOOKS

if TYPE_CHECKING:
    from engine.state import RunContext

__all__ = ["DistSamplerSeedHook"]


@HOOKS.register_module()
class DistSamplerSeedHook(Hook):
    """Tells samplers which epoch begins.

    The engine's own loops read data through a cursor that does this for each pass; the
    hook serves custom loops that iterate ``runner.train_dataloader`` themselves.
    """

    priority: ClassVar[Priority] = Priority.NORMAL

    def before_train_epoch(self, runner: RunContext) -> None:
        """Call ``set_epoch`` of the training loader's samplers that have it."""
        loader = getattr(runner, "train_dataloader", None)
        batches = getattr(loader, "batch_sampler", None)
        own = getattr(loader, "sampler", None)
        samplers: tuple[Any, ...] = (own, batches, _inner(batches))
        for sampler in samplers:
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(runner.epoch)


def _inner(batch_sampler: Any) -> Any:
    return getattr(batch_sampler, "sampler", None)
