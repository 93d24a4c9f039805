"""An optimizer whose state is spread over the ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import distributed
from torch.distributed.optim import ZeroRedundancyOptimizer as _ZeroRedundancyOptimizer

from engine.errors import OptimizerError, did_you_mean
from engine.registry import OPTIMIZERS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ZeroRedundancyOptimizer"]


@OPTIMIZERS.register_module()
class ZeroRedundancyOptimizer(_ZeroRedundancyOptimizer):
    """torch's :class:`torch.distributed.optim.ZeroRedundancyOptimizer`, by name.

    Each rank keeps the optimizer's state of its share of the parameters. Saving
    gathers all of it on rank 0.

    Args:
        params: Parameters, or one group of them.
        optimizer_type: Name of the optimizer of each share, as ``"Adam"``.
        kwargs: Its arguments.

    Raises:
        OptimizerError: There is no such optimizer, or no process group.
    """

    def __init__(
        self, params: Iterable[Any], optimizer_type: str, **kwargs: Any
    ) -> None:
        kind = getattr(torch.optim, optimizer_type, None)
        if kind is None:
            hint = did_you_mean(optimizer_type, vars(torch.optim))
            msg = (
                f"ZeroRedundancyOptimizer: torch.optim has no {optimizer_type!r}.{hint}"
            )
            raise OptimizerError(msg)
        if not (distributed.is_available() and distributed.is_initialized()):
            msg = (
                "ZeroRedundancyOptimizer spreads its state over ranks, but there is "
                f"no process group. In one process use {optimizer_type} itself."
            )
            raise OptimizerError(msg)
        super().__init__(params, optimizer_class=kind, **kwargs)

    def state_dict(self) -> dict[str, Any]:
        """The whole state on rank 0; on other ranks that of their share."""
        self.consolidate_state_dict()
        if distributed.get_rank() != 0:
            own: dict[str, Any] = self.optim.state_dict()
            return own
        whole: dict[str, Any] = super().state_dict()
        return whole
