"""A folder of checkpoints: a file in it is whole, or it is not there.

Writing: ``NAME.part``, flush and fsync, rename to ``NAME``, fsync the folder; only then
the pointer ``last_checkpoint`` moves, the same way, and only then old files go.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import torch
from attrs import field, frozen

from engine.checkpoint.format import check, find_foreign
from engine.errors import (
    CheckpointDamagedError,
    CheckpointError,
    CheckpointNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["POINTER", "Store", "find_latest_checkpoint", "make_writable", "read"]

_SHOWN = 5  # files that a message names

POINTER = "last_checkpoint"
"""Text file that names the newest checkpoint of its folder."""


def read(path: str | os.PathLike[str], *, map_location: Any = "cpu") -> Any:
    """Read a file without running anything that is pickled in it.

    Args:
        path: The file.
        map_location: Where tensors are put, as for ``torch.load``.

    Raises:
        CheckpointNotFoundError: There is no such file.
        CheckpointDamagedError: It is empty, truncated, or no file that
            ``torch.load(weights_only=True)`` reads.
    """
    path = Path(path)
    if not path.is_file():
        folder = path.parent
        there = sorted(folder.glob("*.pth"), key=lambda one: one.stat().st_mtime_ns)
        newest = [one.name for one in there[: -_SHOWN - 1 : -1]]
        found = f"{folder} holds no *.pth file"
        if there:
            found = f"{folder} holds {len(there)}, the newest: {newest}"
        message = f"{path}: there is no such checkpoint; {found}"
        raise CheckpointNotFoundError(message)
    size = path.stat().st_size
    if size == 0:
        message = (
            f"{path}: the file is empty: its writing was cut off before it began. "
            "Resume from an older checkpoint."
        )
        raise CheckpointDamagedError(message)
    try:
        _check_sums(path)
        return torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:
        # In a truncated file torch seeks to before its start: an invalid argument.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        message = (
            f"{path}: cannot be read ({size} bytes): it is truncated, damaged, no "
            "checkpoint, or holds objects that would have to be unpickled, which is "
            f"never done. {type(error).__name__}: {str(error).splitlines()[0]}"
        )
        raise CheckpointDamagedError(message) from error


def make_writable(folder: Path) -> None:
    """Make a folder and prove that files can be written into it.

    Raises:
        OSError: It cannot be made, or nothing can be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return


def _check_sums(path: Path) -> None:
    """Compare what lies in the file with its checksums; torch does not."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        if bad is not None:
            message = f"the bytes of {bad!r} are not those that were written"
            raise zipfile.BadZipFile(message)


def find_latest_checkpoint(path: str | os.PathLike[str]) -> str | None:
    """The file that a folder's ``last_checkpoint`` names; ``None`` without one."""
    pointer = Path(path) / POINTER
    if not pointer.is_file():
        return None
    # Relative, so that the folder can be moved; an absolute one stays as it is.
    return str(Path(path) / pointer.read_text(encoding="utf-8").strip())


@frozen
class Store:
    """A local folder of checkpoints.

    Args:
        folder: Made at the first write.
    """

    folder: Path = field(converter=Path)

    def write(self, name: str, checkpoint: Any) -> Path:
        """Write a checkpoint: afterwards it is whole and durable, or an error says why.

        Args:
            name: File name in the folder.
            checkpoint: Tensors and plain data.

        Raises:
            CheckpointError: It could not be written, or holds what could not be read
                back; an older file of the same name is untouched.
        """
        foreign = find_foreign(checkpoint)
        if foreign is not None:
            message = (
                f"{self.folder / name}: not written: {foreign}. A checkpoint holds "
                "tensors, numbers, text, None, and lists, tuples and dicts of them: "
                "what lies deeper would have to be unpickled. Let state_dict() of that "
                "part give those."
            )
            raise CheckpointError(message)

        def fill(file: IO[bytes]) -> None:
            torch.save(checkpoint, file)

        return self._replace(name, fill)

    def prove(self) -> None:
        """Find out whether files can be written here; makes the folder.

        Raises:
            CheckpointError: They cannot.
        """
        try:
            make_writable(self.folder)
        except OSError as error:
            message = f"{self.folder}: checkpoints could not be written: {error}"
            raise CheckpointError(message) from error

    def point_to(self, name: str) -> None:
        """Let ``last_checkpoint`` name this file of the folder.

        Raises:
            CheckpointError: The pointer could not be written.
        """

        def fill(file: IO[bytes]) -> None:
            file.write(name.encode())

        self._replace(POINTER, fill)

    def drop(self, name: str) -> None:
        """Delete a file of the folder; one that is gone already is fine."""
        (self.folder / name).unlink(missing_ok=True)

    def _replace(self, name: str, fill: Callable[[IO[bytes]], None]) -> Path:
        path = self.folder / name
        part = path.with_name(f"{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            _sync_folder(path.parent)
        except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError
            message = f"{path}: could not be written: {error}{self._space()}"
            raise CheckpointError(message) from error
        finally:
            if part.is_file():
                part.unlink()
        return path

    def _space(self) -> str:
        """Free space of the folder's disk, for the message."""
        if not self.folder.is_dir():
            return ""
        free = shutil.disk_usage(self.folder).free
        return f" ({free / 2**20:.0f} MiB are free there)"

    # -- reading ----------------------------------------------------------------

    def newest_good(
        self, *, map_location: Any = "cpu"
    ) -> tuple[Path, dict[str, Any], list[str]] | None:
        """The newest checkpoint that can be resumed from.

        The one that ``last_checkpoint`` names, then the others, newest first.

        Returns:
            Path, contents, and a remark for each file that was passed over; ``None``
            in a folder without checkpoints.

        Raises:
            CheckpointDamagedError: There are checkpoints, and none of them is good.
        """
        remarks: list[str] = []
        candidates = self._candidates()
        for path in candidates:
            try:
                checkpoint = check(read(path, map_location=map_location), str(path))
            except (CheckpointDamagedError, CheckpointNotFoundError) as error:
                remarks.append(str(error))
            else:
                return path, checkpoint, remarks
        if remarks:
            message = (
                f"{self.folder}: none of its {len(candidates)} checkpoints is good:\n"
                + "\n".join(remarks)
            )
            raise CheckpointDamagedError(message)
        return None

    def _candidates(self) -> list[Path]:
        files = sorted(
            (path for path in self.folder.glob("*.pth") if path.is_file()),
            key=lambda path: (path.stat().st_mtime_ns, path.name),
            reverse=True,
        )
        named = find_latest_checkpoint(self.folder)
        if named is None:
            return files
        return [Path(named), *(path for path in files if path != Path(named))]


def _sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
