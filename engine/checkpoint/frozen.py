"""A copy of a run's state on the host, which later iterations do not change."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from typing import Any

import torch

__all__ = ["HostCopy"]

_Key = tuple[Any, ...]


class HostCopy:
    """Copies trees of tensors and plain values into buffers that it keeps.

    The second copy of a tree of the same shapes allocates nothing, wherever the run's
    tensors lie by then. A copy that was given out is overwritten by the next one, so
    take it only when nobody reads the last.
    """

    def __init__(self) -> None:
        # Free buffers by length and type.
        self._free: defaultdict[_Key, list[torch.Tensor]] = defaultdict(list)

    def take(self, tree: Any) -> Any:
        """The tree with its tensors on the host, sharing no memory with the run.

        Tensors of the tree that share memory share it in the copy too.

        Args:
            tree: Mappings, lists, tuples, sets, tensors and plain values; not changed.
        """
        used: dict[_Key, torch.Tensor] = {}
        taken = self._copy(tree, used)
        self._free = defaultdict(list)  # what this tree has no more goes
        for buffer in used.values():
            self._free[len(buffer), buffer.dtype].append(buffer)
        return taken

    @property
    def size_bytes(self) -> int:
        """Memory that the buffers take."""
        return sum(one.nbytes for some in self._free.values() for one in some)

    def _copy(self, value: Any, used: dict[_Key, torch.Tensor]) -> Any:
        if isinstance(value, torch.Tensor):
            return self._copy_tensor(value, used)
        if isinstance(value, OrderedDict):
            copied = OrderedDict((k, self._copy(v, used)) for k, v in value.items())
            vars(copied).update(vars(value))  # torch's _metadata of a state dict
            return copied
        if isinstance(value, Counter):
            return Counter(value)
        if isinstance(value, dict):
            return {k: self._copy(v, used) for k, v in value.items()}
        if isinstance(value, list):
            return [self._copy(v, used) for v in value]
        if isinstance(value, tuple) and not isinstance(value, torch.Size):
            return tuple(self._copy(v, used) for v in value)
        if isinstance(value, set):
            return set(value)
        return value

    def _copy_tensor(
        self, value: torch.Tensor, used: dict[_Key, torch.Tensor]
    ) -> torch.Tensor:
        value = value.detach()
        if value.is_meta:
            return value  # a shape, and no numbers
        plain = value.layout is torch.strided and not value.is_quantized
        if not plain or value.numel() == 0 or value.is_conj() or value.is_neg():
            return value.to("cpu", copy=True)
        storage = value.untyped_storage()
        key = (value.device, storage.data_ptr(), storage.nbytes(), value.dtype)
        if key not in used:
            # The whole storage, so that views of one another stay that.
            flat = torch.empty(0, dtype=value.dtype, device=value.device)
            flat.set_(storage)
            free = self._free[len(flat), flat.dtype]
            buffer = free.pop() if free else torch.empty(flat.shape, dtype=flat.dtype)
            used[key] = buffer.copy_(flat)
        return torch.as_strided(
            used[key], value.shape, value.stride(), value.storage_offset()
        )
