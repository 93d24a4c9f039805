"""A folder on a disk: written beside, flushed, renamed, the folder flushed too."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING

from attrs import field, frozen

from engine.checkpoint.listed import Listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LocalStorage", "make_writable"]

_PART = ".part"


def make_writable(folder: Path) -> None:
    """Make a folder and prove that files can be written into it.

    Raises:
        OSError: It cannot be made, or nothing can be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return


@frozen
class StagedFile:
    """A file that lies whole beside its place.

    Args:
        path: Its place.
        part: Where it lies.
        file: Open and locked until it is in its place.
    """

    path: Path
    part: Path
    file: IO[bytes]

    def commit(self) -> None:
        """Rename it to its place, and flush the folder to the disk."""
        with self.file:  # renamed before its lock goes, or another could take it over
            self.part.replace(self.path)
        _sync_folder(self.path.parent)

    def discard(self) -> None:
        """Delete it, if it was not renamed."""
        if not self.file.closed:
            self.part.unlink(missing_ok=True)
            with suppress(OSError):  # what it could not write is not wanted any more
                self.file.close()


@frozen
class LocalStorage:
    """The files of a folder on a disk.

    Args:
        folder: Made at the first write.
    """

    folder: Path = field(converter=Path)

    def stage(self, name: str, fill: Callable[[IO[bytes]], None]) -> StagedFile:
        """Write ``NAME.part`` and flush it to the disk.

        Raises:
            OSError: It could not be written; nothing of it stays.
        """
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part, file = _open_part(path)
        staged = StagedFile(path, part, file)
        try:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            staged.discard()
            raise
        return staged

    @contextmanager
    def committing(self) -> Iterator[None]:
        """While the body runs, no other process commits in this folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            _lock(descriptor, wait=True)
            yield
        finally:
            # Closing alone does not do: a loader's worker, forked now, has it too.
            _unlock(descriptor)
            os.close(descriptor)

    def drop(self, name: str) -> None:
        """Delete a file, durably; one that is gone already is fine."""
        path = self.folder / name
        if path.is_file():
            path.unlink(missing_ok=True)
            _sync_folder(path.parent)

    def read_text(self, name: str) -> str | None:
        """A small file's text; ``None`` if there is none."""
        try:  # not asked first: another run may delete it in between
            text = (self.folder / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        return text.decode(errors="replace")

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path | None]:
        """The file itself; ``None`` if there is none."""
        path = self.folder / name
        yield path if path.is_file() else None

    def folders(self, suffix: str) -> list[str]:
        """Names of the folders in it whose names end so."""
        return sorted(one.name for one in self.folder.glob(f"*{suffix}/"))

    def drop_folder(self, name: str) -> None:
        """Delete a folder with its files; one that is gone already is fine."""
        path = self.folder / name
        if path.is_dir():
            shutil.rmtree(path)
            _sync_folder(self.folder)

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """While the body runs, a folder, which is made, is seen to be in use."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            _lock(descriptor)
            yield
        finally:
            _unlock(descriptor)
            os.close(descriptor)

    def is_held(self, name: str) -> bool:
        """Whether a writer, in this process or another one, holds a folder."""
        try:
            descriptor = os.open(self.folder / name, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            return not _lock(descriptor)
        finally:
            os.close(descriptor)

    def files(self, suffix: str) -> list[Listed]:
        """The files whose names end so."""
        found = []
        for path in self.folder.glob(f"*{suffix}"):
            with suppress(FileNotFoundError):  # another run deletes it just now
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    listed = Listed(path.name, status.st_mtime, status.st_size)
                    found.append(listed)
        return found

    def prove(self) -> None:
        """Find out whether files can be written; clear up what killed writers left.

        Raises:
            OSError: They cannot.
        """
        make_writable(self.folder)
        for part in self.folder.glob(f"*{_PART}"):
            with suppress(FileNotFoundError), part.open("rb") as file:
                if _lock(file.fileno()) and _is(part, file):  # nobody writes it
                    part.unlink(missing_ok=True)

    def free_bytes(self) -> int | None:
        """Free space of the folder's disk; ``None`` before there is a folder."""
        if not self.folder.is_dir():
            return None
        return shutil.disk_usage(self.folder).free


def _open_part(path: Path) -> tuple[Path, IO[bytes]]:
    """An empty file beside ``path`` that no other process writes.

    A killed writer's is taken over: its lock went with it.
    """
    for number in count():
        middle = f".{number}" if number else ""
        part = path.with_name(f"{path.name}{middle}{_PART}")
        while True:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            file = os.fdopen(descriptor, "wb")
            if not _lock(descriptor):
                file.close()
                break  # another run writes it: the next name
            if _is(part, file):
                file.truncate(0)
                return part, file
            file.close()  # renamed between the two calls: it is no part any more
    raise AssertionError  # count() does not end


def _is(path: Path, file: IO[bytes]) -> bool:
    """Whether the path still names the open file."""
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(file.fileno()))


def _lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder; whether it is ours now.

    The lock ends when it is closed or its process ends, however that comes.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: as good as one writer
        return True
    return True


def _unlock(descriptor: int) -> None:
    with suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
