"""Autocast with the choices that fit this machine."""

from __future__ import annotations

import torch

__all__ = ["autocast"]


def autocast(
    device_type: str | None = None,
    dtype: torch.dtype | None = None,
    enabled: bool = True,
    cache_enabled: bool | None = None,
) -> torch.autocast:
    """A context in which operations compute in half the bits.

    Args:
        device_type: Such as ``"cuda"``; ``None``: that if there is one, else ``"cpu"``.
        dtype: What is computed in; ``None``: float16 on CUDA, bfloat16 elsewhere.
        enabled: Off, operations inside compute in their own types.
        cache_enabled: Whether weights that were cast are kept; ``None``: as torch does.

    Returns:
        The context manager.

    >>> with autocast():
    ...     (torch.ones(1, 1) @ torch.ones(1, 1)).dtype in {
    ...         torch.float16,
    ...         torch.bfloat16,
    ...     }
    True
    """
    if device_type is None:
        device_type = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype is None:
        dtype = torch.float16 if device_type == "cuda" else torch.bfloat16
    return torch.autocast(
        device_type, dtype=dtype, enabled=enabled, cache_enabled=cache_enabled
    )
