"""What a store does with files, on a disk or in an object store."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Protocol

from engine.checkpoint.local_storage import LocalStorage
from engine.checkpoint.object_storage import ObjectStorage
from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from engine.checkpoint.listed import Listed
    from engine.checkpoint.location import Location

__all__ = ["Staged", "Storage", "open_storage"]


class Staged(Protocol):
    """A file that is written and not yet in its place."""

    def commit(self) -> None:
        """Put it there at one stroke, in the place of an older one, durably."""

    def discard(self) -> None:
        """Let go of it; nothing was changed."""


class Storage(Protocol):
    """The files of one folder. A file in it is whole, or it is not there."""

    def stage(self, name: str, fill: Callable[[IO[bytes]], None]) -> Staged:
        """Write a file, whole and durable, beside its place."""

    def committing(self) -> AbstractContextManager[None]:
        """While the body runs, no other process commits in this folder."""

    def drop(self, name: str) -> None:
        """Delete a file; one that is gone already is fine."""

    def read_text(self, name: str) -> str | None:
        """A small file's text; ``None`` if there is none."""

    def local_copy(self, name: str) -> AbstractContextManager[Path | None]:
        """The file as one on this machine's disk; ``None`` if there is none."""

    def folders(self, suffix: str) -> list[str]:
        """Names of the folders in it whose names end so."""

    def drop_folder(self, name: str) -> None:
        """Delete a folder with its files; one that is gone already is fine."""

    def holding(self, name: str) -> AbstractContextManager[None]:
        """While the body runs, a folder is seen to be in use."""

    def is_held(self, name: str) -> bool:
        """Whether a folder is known to be in use by anyone."""

    def files(self, suffix: str) -> list[Listed]:
        """The files whose names end so."""

    def prove(self) -> None:
        """Find out whether files can be written here; may clear up what is stale."""

    def free_bytes(self) -> int | None:
        """Free space; ``None`` where nobody knows."""


def open_storage(
    folder: Location, backend_args: Mapping[str, Any] | None = None
) -> Storage:
    """The storage of a folder.

    Args:
        folder: A path or a URL.
        backend_args: For the file system of a URL, as fsspec takes them: credentials,
            ``endpoint_url``, ... MMEngine's ``{"backend": "local"}`` is a path's.

    Raises:
        ConfigError: They are for another kind of place, or the file system of the URL
            is not known or not installed.
    """
    options = dict(backend_args or {})
    if isinstance(folder, str):
        return ObjectStorage.open(folder, options)
    if options not in ({}, {"backend": "local"}):
        message = (
            f"backend_args={options!r}: {folder} is a local path, which takes none. "
            "Give a URL such as 's3://bucket/folder', or leave backend_args out."
        )
        raise ConfigError(message)
    return LocalStorage(folder)
