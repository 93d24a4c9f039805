"""Small protocols and aliases that every package may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

__all__ = ["Batch", "Plain", "Spec", "Stateful"]

Batch: TypeAlias = Any
"""What a loader yields: the user's own data, so it has no type of ours."""

Spec: TypeAlias = Mapping[str, Any]
"""A mapping with ``type`` that a registry builds an object from."""

Plain: TypeAlias = Any
"""Tensors, numbers, strings, ``None``, and lists, tuples and string-keyed dicts of
them: what ``torch.load(weights_only=True)`` reads back."""


@runtime_checkable
class Stateful(Protocol):
    """Anything whose memory can be taken out and put back."""

    def state_dict(self) -> Any:
        """All that must come back, as plain data."""

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Become what :meth:`state_dict` described."""
