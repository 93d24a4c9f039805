"""A trimmed copy of a checkpoint, named by its hash, to hand to others."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, cast

import torch

from engine.checkpoint.hashing import HashingFile
from engine.checkpoint.location import Location, join
from engine.checkpoint.reading import read
from engine.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.checkpoint.store import Store

__all__ = ["publish"]

_DIGITS = 8  # of the hash, in the name: as MMEngine and torchvision have it


def publish(store: Store, name: str, keys: Sequence[str]) -> tuple[Location, list[str]]:
    """Write a copy that has only some of a checkpoint's keys.

    Args:
        store: Holds the checkpoint, and gets the copy.
        name: The checkpoint's file: ``epoch_3.pth`` gives ``epoch_3-1a2b3c4d.pth``,
            named by the first digits of the copy's SHA-256.
        keys: What stays, such as ``["meta", "state_dict"]``.

    Returns:
        The copy, and which of the keys the checkpoint does not have.

    Raises:
        CheckpointError: The checkpoint cannot be read, has none of the keys, or the
            copy cannot be written.
    """
    path = join(store.folder, name)
    checkpoint = read(path, backend_args=store.backend_args)
    has = checkpoint if isinstance(checkpoint, Mapping) else {}
    trimmed = {key: value for key, value in has.items() if key in keys}
    missing = [key for key in keys if key not in trimmed]
    if not trimmed:
        message = f"{path}: nothing to publish: it has none of the keys {[*keys]}"
        raise CheckpointError(message)
    stem, dot, ending = name.rpartition(".")
    published = (
        f"{stem or ending}-{_digest(trimmed)[:_DIGITS]}{dot}{ending * bool(dot)}"
    )
    return store.write(published, trimmed), missing


class _Nowhere(io.RawIOBase):
    """Takes bytes and keeps none."""

    def write(self, data: Any) -> int:
        """Say that all of it was written."""
        return len(data)


def _digest(content: Mapping[str, Any]) -> str:
    """Digest of the file that would be written; the content is not copied for it."""
    nowhere: Any = _Nowhere()
    with HashingFile(nowhere) as file:
        torch.save(content, cast("IO[bytes]", file))
    return file.digest
