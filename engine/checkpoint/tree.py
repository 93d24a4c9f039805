"""The tensors of a tree of mappings, lists and tuples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from engine.checkpoint.pieces import is_sharded

__all__ = ["strided_tensors"]


def strided_tensors(tree: Any) -> Iterator[torch.Tensor]:
    """Each tensor that has a storage of its own, as sparse ones have not.

    One that lies over ranks has several.

    Args:
        tree: Mappings, lists, tuples, tensors and plain values.
    """
    if isinstance(tree, torch.Tensor):
        if not is_sharded(tree) and tree.layout is torch.strided:
            yield tree
    elif isinstance(tree, Mapping):
        for one in tree.values():
            yield from strided_tensors(one)
    elif isinstance(tree, list | tuple):
        for one in tree:
            yield from strided_tensors(one)
