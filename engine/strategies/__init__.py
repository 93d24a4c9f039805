"""How a model lies on ranks: whole in one process, whole on each, or cut over them."""

from engine.strategies.ddp import DDPStrategy
from engine.strategies.fsdp2 import FSDP2Strategy
from engine.strategies.single import SingleStrategy
from engine.strategies.strategy import Strategy

__all__ = ["DDPStrategy", "FSDP2Strategy", "SingleStrategy", "Strategy"]
