"""The index of a folder of shards, read without running what is pickled in it.

``torch.distributed.checkpoint`` keeps it as a pickle, ``.metadata``: which tensors
there are, in which chunks, and where in which file each chunk lies. It is a handful of
classes that only hold data; a name that is not in the closed list here is refused.
"""

from __future__ import annotations

import io
import pickle
from pathlib import PurePath
from typing import Any

import torch
from torch.distributed.checkpoint import metadata as kinds
from torch.distributed.checkpoint.filesystem import _StorageInfo

from engine.errors import CheckpointDamagedError

__all__ = ["INDEX", "read_index"]

INDEX = ".metadata"
"""The index's file, as torch names it."""

_CLASSES = (
    kinds.BytesStorageMetadata,
    kinds.ChunkStorageMetadata,
    kinds.Metadata,
    kinds.MetadataIndex,
    kinds.StorageMeta,
    kinds.TensorProperties,
    kinds.TensorStorageMetadata,
    kinds._MEM_FORMAT_ENCODING,  # noqa: SLF001  # torch pickles it
    _StorageInfo,
)
_KNOWN: dict[tuple[str, str], Any] = {
    **{(one.__module__, one.__qualname__): one for one in _CLASSES},
    ("torch", "Size"): torch.Size,
    ("torch.serialization", "_get_layout"): {
        str(one): one for one in (torch.strided, torch.sparse_coo)
    }.__getitem__,
    ("pathlib", "PosixPath"): PurePath,  # where torch's own writer wrote to
    ("pathlib", "WindowsPath"): PurePath,
    ("pathlib", "Path"): PurePath,
}


class _Unpickler(pickle.Unpickler):
    """Makes what the index consists of, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """The class of a name that is listed, or torch's dtype of that name."""
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        message = f"{module}.{name} is nothing that an index of shards holds"
        raise pickle.UnpicklingError(message)


def read_index(data: bytes, where: str) -> kinds.Metadata:
    """What ``.metadata`` holds.

    Args:
        data: The file's bytes.
        where: The file, for messages.

    Raises:
        CheckpointDamagedError: It is damaged, or holds what would have to be unpickled.
    """
    try:
        found = _Unpickler(io.BytesIO(data)).load()
    except Exception as error:  # a damaged pickle raises anything
        message = (
            f"{where}: cannot be read ({len(data)} bytes): it is truncated, damaged, "
            "no index of torch.distributed.checkpoint, or holds objects that would "
            "have to be unpickled, which is never done. "
            f"{type(error).__name__}: {error}"
        )
        raise CheckpointDamagedError(message) from error
    if not isinstance(found, kinds.Metadata) or found.storage_data is None:
        message = f"{where}: is no index of torch.distributed.checkpoint"
        raise CheckpointDamagedError(message)
    return found
