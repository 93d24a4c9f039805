"""One process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.dist import get_world_size
from engine.errors import ConfigError
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
            model: On its device. One that is wrapped already stays as it is.

        Raises:
            ConfigError: There are several processes, and nothing makes their gradients
                the same.
        """
        if is_model_wrapper(model):
            return model
        world = get_world_size()
        if world > 1:
            message = (
                f"strategy: {type(self).__name__} is for one process: {world} ranks "
                "would train a model each, and never tell each other. Take 'ddp' or "
                "'fsdp2', or derive one of your own from Strategy"
            )
            raise ConfigError(message)
        return revert_sync_batchnorm(model)
