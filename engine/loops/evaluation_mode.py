"""A model in evaluation mode for a while."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["evaluation_mode"]


@contextmanager
def evaluation_mode(model: nn.Module | None) -> Iterator[list[nn.Module]]:
    """Put a model into evaluation mode, and each of its modules back afterwards.

    Yields:
        The modules that were training.
    """
    if model is None:
        yield []
        return
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield training
    finally:
        for module in training:
            module.training = True
