"""A file as its folder lists it."""

from __future__ import annotations

from attrs import frozen

__all__ = ["Listed"]


@frozen
class Listed:
    """A file of a folder.

    Args:
        name: In its folder.
        modified: When, in seconds of the clock of its machine, which may be wrong.
        size_bytes: Its length.
    """

    name: str
    modified: float
    size_bytes: int
