"""Reading a file: verified first, and nothing that is pickled in it is run."""

from __future__ import annotations

import errno
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import torch

from engine.checkpoint.convert import known_classes
from engine.checkpoint.hashing import digest_of
from engine.checkpoint.location import name_of, parent_of, place
from engine.checkpoint.manifest import Manifest, manifest_name
from engine.checkpoint.pieces import SHARDS, missing_pieces
from engine.checkpoint.storage import open_storage
from engine.errors import (
    CheckpointDamagedError,
    CheckpointNotFoundError,
    SerializationError,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from engine.checkpoint.location import Location
    from engine.checkpoint.pieces import Layout
    from engine.checkpoint.storage import Storage

__all__ = ["find_manifest", "read", "shards_of", "verify"]

_SHOWN = 5  # files that a message names


def read(
    path: str | os.PathLike[str],
    *,
    map_location: Any = "cpu",
    backend_args: Mapping[str, Any] | None = None,
    layout: Layout | None = None,
) -> Any:
    """Read a file without running anything that is pickled in it.

    It is compared with its manifest before, or without one with its own checksums. What
    ranks wrote in pieces is put together.

    Args:
        path: The file; a path, or a URL that fsspec knows.
        map_location: Where tensors are put, as for ``torch.load``.
        backend_args: For the file system of a URL.
        layout: How tensors that were saved in pieces lie on this run's ranks; ``None``:
            whole.

    Raises:
        CheckpointNotFoundError: There is no such file.
        CheckpointDamagedError: It is empty, truncated, not what its manifest says, or
            no file that ``torch.load(weights_only=True)`` reads.
    """
    place_, storage = _open(path, backend_args)
    with storage.local_copy(name_of(place_)) as file:
        if file is None:
            raise CheckpointNotFoundError(_not_found(place_, storage))
        _verify(place_, file, find_manifest(storage, name_of(place_)))
        found = _load(place_, file, map_location)
    if not missing_pieces(found):
        return found
    # torch's part for it takes as long to import as all of ours.
    from engine.checkpoint.sharded_reading import complete

    return complete(
        storage, found, str(place_), layout=layout, map_location=map_location
    )


def verify(
    path: str | os.PathLike[str], *, backend_args: Mapping[str, Any] | None = None
) -> Manifest | None:
    """Check a file against its manifest, or its own checksums, without loading it.

    Returns:
        Its manifest, if it has one.

    Raises:
        CheckpointNotFoundError: There is no such file.
        CheckpointDamagedError: It is not what was written.
    """
    place_, storage = _open(path, backend_args)
    manifest = find_manifest(storage, name_of(place_))
    with storage.local_copy(name_of(place_)) as file:
        if file is None:
            raise CheckpointNotFoundError(_not_found(place_, storage))
        _verify(place_, file, manifest)
        shards = manifest.shards if manifest else shards_of(file)
    if shards is not None:
        from engine.checkpoint.sharded_reading import verify_shards

        verify_shards(storage, shards, str(place_))
    return manifest


def shards_of(file: Path) -> Mapping[str, Any] | None:
    """What a checkpoint file itself says of its shards; its tensors are not read."""
    try:
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # noqa: BLE001  # a damaged pickle raises anything
        return None  # who reads the file says so
    return found.get(SHARDS) if missing_pieces(found) else None


def find_manifest(storage: Storage, name: str) -> Manifest | None:
    """A file's manifest; ``None`` if it has none, or one that is damaged itself."""
    text = storage.read_text(manifest_name(name))
    if text is None:
        return None
    try:
        return Manifest.from_text(text, manifest_name(name))
    except SerializationError:
        # The file has checksums of its own: it is not lost with its manifest.
        return None


def _open(
    path: str | os.PathLike[str], backend_args: Mapping[str, Any] | None
) -> tuple[Location, Storage]:
    found = place(path)
    return found, open_storage(parent_of(found), backend_args)


def _not_found(path: Location, storage: Storage) -> str:
    folder = parent_of(path)
    there = sorted(storage.files(".pth"), key=lambda one: one.modified)
    found = f"{folder} holds no *.pth file"
    if there:
        newest = [one.name for one in there[: -_SHOWN - 1 : -1]]
        found = f"{folder} holds {len(there)}, the newest: {newest}"
    return f"{path}: there is no such checkpoint; {found}"


def _verify(path: Location, file: Path, manifest: Manifest | None) -> None:
    size = file.stat().st_size
    if size == 0:
        message = (
            f"{path}: the file is empty: its writing was cut off before it began. "
            "Resume from an older checkpoint."
        )
        raise CheckpointDamagedError(message)
    if manifest is None:
        return _check_sums(path, file, size)
    why = ""
    if size != manifest.size_bytes:
        why = f"{manifest.size_bytes} were written"
    else:
        with file.open("rb") as opened:
            _, digest = digest_of(opened)
        if digest != manifest.digest:
            why = "its bytes are not those that were written"
    if why:
        message = (
            f"{path}: cannot be read ({size} bytes): it is truncated or damaged: "
            f"{why}, says {manifest_name(name_of(path))}. Resume from an older one; "
            "if you put another file in its place on purpose, delete that manifest."
        )
        raise CheckpointDamagedError(message)
    return None


def _check_sums(path: Location, file: Path, size: int) -> None:
    """Compare what lies in the file with its checksums; torch does not."""
    if not zipfile.is_zipfile(file):
        return  # torch's older format has none, and what is torn torch tells
    try:
        with zipfile.ZipFile(file) as archive:
            bad = archive.testzip()
    except Exception as error:
        raise _rejection(path, size, error) from error
    if bad is not None:
        message = f"the bytes of {bad!r} are not those that were written"
        raise _rejection(path, size, zipfile.BadZipFile(message))


def _load(path: Location, file: Path, map_location: Any) -> Any:
    size = file.stat().st_size
    try:
        return torch.load(file, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError:
        pass  # it may be one of MMEngine's
    except Exception as error:
        # In a truncated file torch seeks to before its start: an invalid argument.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise _rejection(path, size, error) from error
    try:
        with known_classes():
            return torch.load(file, map_location=map_location, weights_only=True)
    except Exception as error:
        raise _rejection(path, size, error) from error


def _rejection(path: Location, size: int, error: Exception) -> CheckpointDamagedError:
    message = (
        f"{path}: cannot be read ({size} bytes): it is truncated, damaged, no "
        "checkpoint, or holds objects that would have to be unpickled, which is "
        f"never done. {type(error).__name__}: {str(error).splitlines()[0]}"
    )
    return CheckpointDamagedError(message)
