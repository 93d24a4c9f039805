"""Bases as imports."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["read_base"]


@contextmanager
def read_base() -> Iterator[None]:
    """Mark the imports of a config's bases.

    ``with read_base(): from .base import *`` in a config makes the base's variables
    variables of the config. Whoever reads the config treats the block so; run as
    ordinary Python it does nothing but import.
    """
    yield
