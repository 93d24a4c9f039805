"""One process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model import is_model_wrapper, revert_sync_batchnorm
from engine.registry import STRATEGIES
from engine.strategies.strategy import Strategy

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["SingleStrategy"]


@STRATEGIES.register_module(name=["SingleStrategy", "single"])
class SingleStrategy(Strategy):
    """The model as it is, in one process.

    SyncBatchNorm cannot work there, and becomes BatchNorm.
    """

    def wrap(self, model: Module) -> Module:
        """The model itself, without SyncBatchNorm.

        Args:
            model: On its device.
        """
        return model if is_model_wrapper(model) else revert_sync_batchnorm(model)
