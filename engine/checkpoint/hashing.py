"""Digests of files, computed while they are written or read."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np

from engine.checkpoint.tree import strided_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = ["ALGORITHM", "HashingFile", "digest_of"]

ALGORITHM = "sha256"
"""Measured at 1.5 GB/s where the processor has instructions for it, blake2b at 1.0."""

_CHUNK = 1 << 20
_LARGE = 1 << 16  # below, asking where it lies takes longer than copying it


class HashingFile:
    """A file to write into that knows size and digest of what went through it.

    A thread hashes, behind the writing, so that this waits for the disk and for nothing
    else. It reads the tensors where they lie; no second copy of them is made.

    Args:
        file: Takes the bytes.
        content: What will be written. Its tensors must not change before this is left:
            a piece that is one of theirs may be hashed later than it is written.
    """

    def __init__(self, file: IO[bytes], content: Any = None) -> None:
        self._file = file
        self._hash = hashlib.new(ALGORITHM)
        self._thread = ThreadPoolExecutor(1, "checkpoint-hash")
        self._last: Future[None] | None = None
        self._stays = dict(_storages(content))
        self.size = 0
        self.error: BaseException | None = None
        """Why a write was broken off; torch tells of it in its own words."""

    def __enter__(self) -> Self:
        """Itself; leaving waits for the digest."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the thread; the file underneath stays open."""
        self._thread.shutdown(cancel_futures=error is not None)

    @property
    def digest(self) -> str:
        """Digest of all that was written, as hexadecimal digits."""
        if self._last is not None:
            self._last.result()
        return self._hash.hexdigest()

    def write(self, data: Any) -> int:
        """Write bytes, or a view that is only valid until this returns."""
        try:
            return self._write(data)
        except BaseException as error:
            self.error = self.error or error
            raise

    def _write(self, data: Any) -> int:
        size = len(data)
        stays = size >= _LARGE and self._stays.get(_address(data), -1) >= size
        piece = data if stays or size >= _LARGE else bytes(data)
        hashed = self._thread.submit(self._hash.update, piece)
        try:
            self._file.write(data)
        finally:
            if size >= _LARGE and not stays:
                hashed.result()  # torch's own buffer: gone when this returns
        self._last = hashed
        self.size += size
        return size

    def flush(self) -> None:
        """Flush the file underneath."""
        self._file.flush()


def digest_of(file: IO[bytes]) -> tuple[int, str]:
    """Size and digest of a file from its current position on."""
    found, size = hashlib.new(ALGORITHM), 0
    while chunk := file.read(_CHUNK):
        found.update(chunk)
        size += len(chunk)
    return size, found.hexdigest()


def _storages(value: Any) -> Iterator[tuple[int, int]]:
    """Address and length of the memory of each tensor on the host."""
    for one in strided_tensors(value):
        if one.device.type == "cpu":
            storage = one.untyped_storage()
            yield storage.data_ptr(), storage.nbytes()


def _address(view: Any) -> int:
    """Where the bytes lie."""
    found: int = np.frombuffer(view, np.uint8).__array_interface__["data"][0]
    return found
