"""Telling whether something is still the object that it was.

An address alone does not tell: once an object is gone, another one may get its place.
So what is compared later is kept until then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from torch import Tensor

__all__ = ["Same", "writes_of"]


class Same:
    """An object, to be told from others; keeping it keeps its identity from another.

    Args:
        held: The object.
        writes: Of a tensor, what :func:`writes_of` told.

    >>> one = [1]
    >>> Same(one) == Same(one), Same(one) == Same([1])
    (True, False)
    """

    def __init__(self, held: object, writes: Hashable = None) -> None:
        self.held = held
        self.writes = writes

    def __eq__(self, other: object) -> bool:
        """Whether it is that object, and was not written to in between."""
        return (
            isinstance(other, Same)
            and self.held is other.held
            and self.writes == other.writes
        )

    def __hash__(self) -> int:
        """As objects are hashed that equal themselves alone."""
        return id(self.held)


def writes_of(tensor: Tensor) -> Hashable:
    """Something that differs once the tensor was written to; no value is read.

    Returns:
        ``None`` where nobody counts: of tensors from inference mode, and of those that
        are no one piece of memory, as sparse ones.
    """
    try:
        return tensor.data_ptr(), tensor._version  # noqa: SLF001 - counts writes in place
    except RuntimeError:
        return None
