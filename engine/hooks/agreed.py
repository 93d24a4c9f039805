"""What hooks of all ranks go by, where each decides for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from engine.dist import get_world_size, on_main

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["agreed_metrics"]


def agreed_metrics(metrics: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What a validation gave on rank 0, on all ranks.

    A metric that was not reduced is another number on each. What follows from it (a
    save in which all ranks take part, a learning rate) must not be.

    Args:
        metrics: What it gave on this rank.
    """
    if get_world_size() == 1:
        return metrics or {}
    return on_main(lambda: {name: _on_host(v) for name, v in (metrics or {}).items()})


def _on_host(value: Any) -> Any:
    return value.detach().cpu() if isinstance(value, Tensor) else value
