"""Copies a run's log files to where they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fsspec  # type: ignore[import-untyped]  # it ships none

from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["LogKeeper"]

_HEAD_BYTES = 4096


class LogKeeper:
    """A folder for copies of log files, on a disk or wherever fsspec can write.

    Args:
        out_dir: A path, or a URL that fsspec knows.
        suffixes: Ends of the names of files that are copied.
        backend_args: For the file system, as fsspec takes them.

    Raises:
        ConfigError: fsspec cannot tell the file system, or not with these arguments.
    """

    def __init__(
        self,
        out_dir: str,
        suffixes: Sequence[str],
        backend_args: Mapping[str, Any] | None = None,
    ) -> None:
        self.out_dir = out_dir
        self._suffixes = tuple(suffixes)
        try:
            self._system, self._root = fsspec.core.url_to_fs(
                out_dir, **dict(backend_args or {})
            )
        except (ImportError, TypeError, ValueError) as error:
            message = (
                f"LoggerHook: out_dir={out_dir!r}: no file system for it: {error}. "
                "Install the package that it names, or give another URL."
            )
            raise ConfigError(message) from error

    def copy(self, folder: Path, under: str, *, move: bool = False) -> list[str]:
        """Copy what lies in ``folder`` and below.

        A file that lies there already and does not begin as ours does is another one:
        ours gets a number into its name.

        Args:
            folder: The run's log folder.
            under: The folder in ``out_dir``.
            move: Whether each local file is deleted once its copy is there.

        Returns:
            The copies.

        Raises:
            OSError: One could not be written; its local file is still there.
        """
        copies = []
        for file in sorted(folder.rglob("*")):
            if not file.is_file() or not file.name.endswith(self._suffixes):
                continue
            name = file.relative_to(folder.parent).as_posix()
            target = next(
                one
                for one in _numbered(f"{self._root.rstrip('/')}/{under}/{name}")
                if self._is_free(one, file)
            )
            self._system.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._system.put_file(str(file), target)
            copies.append(target)
            if move:
                file.unlink()
        return copies

    def _is_free(self, target: str, file: Path) -> bool:
        if not self._system.exists(target):
            return True
        with self._system.open(target, "rb") as there, file.open("rb") as here:
            head = there.read(_HEAD_BYTES)
            return bool(here.read(len(head)) == head)


def _numbered(path: str) -> Iterator[str]:
    """The path, then it with 2, 3, ... in its name.

    >>> names = _numbered("a/b.json")
    >>> next(names), next(names)
    ('a/b.json', 'a/b_2.json')
    """
    yield path
    folder, slash, name = path.rpartition("/")
    stem, dot, suffix = name.partition(".")
    number = 2
    while True:
        yield f"{folder}{slash}{stem}_{number}{dot}{suffix}"
        number += 1
