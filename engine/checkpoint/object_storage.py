"""A folder of an object store or any other file system of fsspec's."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import fsspec  # type: ignore[import-untyped]  # it ships none
from attrs import frozen

from engine.checkpoint.listed import Listed
from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

__all__ = ["ObjectStorage"]

_PROBE = ".engine-write-test"


@frozen
class StagedObject:
    """An object that was uploaded and is not there yet.

    Args:
        system: The file system, in a transaction that holds this object alone.
    """

    system: Any

    def commit(self) -> None:
        """Let it appear in the place of an older one."""
        self.system.end_transaction()

    def discard(self) -> None:
        """Forget it."""
        if self.system._intrans:  # noqa: SLF001  # it has no other way to ask
            self.system.transaction.complete(commit=False)


@frozen
class ObjectStorage:
    """The objects below a prefix.

    Args:
        system: The file system of the URL.
        prefix: What stands before a name, in the system's own form.
    """

    system: Any
    prefix: str

    @classmethod
    def open(cls, url: str, options: dict[str, Any]) -> Self:
        """The storage of a URL.

        Raises:
            ConfigError: Its file system is not known or not installed, or does not
                take the options.
        """
        try:
            # An instance of our own: a transaction is the whole instance's.
            options = {"skip_instance_cache": True, **options}
            system, prefix = fsspec.core.url_to_fs(url, **options)
        except (ImportError, ValueError, TypeError) as error:
            message = (
                f"{url}: its file system cannot be opened with backend_args="
                f"{sorted(options)}: {error}"
            )
            raise ConfigError(message) from error
        return cls(system, prefix.rstrip("/"))

    def stage(self, name: str, fill: Callable[[IO[bytes]], None]) -> StagedObject:
        """Upload an object; it appears when it is committed.

        Raises:
            Exception: Whatever the file system raises; nothing was committed.
        """
        # A file system with folders needs them; an object store takes it for nothing.
        path = f"{self.prefix}/{name}"
        self.system.makedirs(path.rpartition("/")[0], exist_ok=True)
        self.system.start_transaction()
        staged = StagedObject(self.system)
        try:
            with self.system.open(path, "wb") as file:
                fill(file)
        except BaseException:
            staged.discard()
            raise
        return staged

    def committing(self) -> AbstractContextManager[None]:
        """Nothing: object stores have no locks, and names that differ per run help."""
        return nullcontext()

    def drop(self, name: str) -> None:
        """Delete an object; one that is gone already is fine."""
        try:
            self.system.rm_file(f"{self.prefix}/{name}")
        except FileNotFoundError:
            return

    def read_text(self, name: str) -> str | None:
        """A small object's text; ``None`` if there is none."""
        try:
            content: bytes = self.system.cat_file(f"{self.prefix}/{name}")
        except FileNotFoundError:
            return None
        return content.decode(errors="replace")

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path | None]:
        """The object, downloaded for as long as the body runs; ``None`` without it."""
        try:
            source = self.system.open(f"{self.prefix}/{name}", "rb")
        except FileNotFoundError:
            yield None
            return
        with tempfile.NamedTemporaryFile(suffix=".pth") as target:
            with source:
                shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            yield Path(target.name)

    def folders(self, suffix: str) -> list[str]:
        """Last parts of the prefixes below this one that end so."""
        self.system.invalidate_cache()
        try:
            found = self.system.ls(self.prefix, detail=True)
        except FileNotFoundError:
            return []
        names = [Path(one["name"]).name for one in found if one["type"] == "directory"]
        return sorted(name for name in names if name.endswith(suffix))

    def drop_folder(self, name: str) -> None:
        """Delete all objects below a prefix; none is fine."""
        with suppress(FileNotFoundError):
            self.system.rm(f"{self.prefix}/{name}", recursive=True)

    def holding(self, name: str) -> AbstractContextManager[None]:
        """Nothing: object stores have no locks."""
        del name
        return nullcontext()

    def is_held(self, name: str) -> bool:
        """Always: nobody can tell, so nobody may sweep it away."""
        del name
        return True

    def files(self, suffix: str) -> list[Listed]:
        """The objects whose names end so."""
        self.system.invalidate_cache()
        try:
            found = self.system.ls(self.prefix, detail=True)
        except FileNotFoundError:
            return []
        return [
            Listed(Path(one["name"]).name, _modified(one), int(one["size"] or 0))
            for one in found
            if one["type"] == "file" and one["name"].endswith(suffix)
        ]

    def prove(self) -> None:
        """Write a small object and delete it.

        Raises:
            Exception: Whatever the file system raises.
        """

        def fill(file: IO[bytes]) -> None:
            file.write(b"x")

        self.stage(_PROBE, fill).commit()
        self.drop(_PROBE)

    def free_bytes(self) -> None:
        """Object stores do not tell."""


def _modified(info: dict[str, Any]) -> float:
    """When an object was written; each file system has a name of its own for it."""
    for key in ("LastModified", "last_modified", "mtime", "updated", "created"):
        value = info.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0
