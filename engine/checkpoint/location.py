"""Where a checkpoint lies: a local path, or a URL that fsspec knows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

__all__ = ["Location", "is_url", "join", "name_of", "parent_of", "place"]

Location = Path | str
"""A local path is a ``Path``, a URL stays the text that it is."""

# Two letters at least: "C:/x" is a path. Chained ones too: "simplecache::s3://x".
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(::|://)")


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether it is a URL with a scheme, and no local path.

    >>> is_url("s3://bucket/run"), is_url("runs/a"), is_url("C:/runs")
    (True, False, False)
    """
    return isinstance(path, str) and _URL.match(path) is not None


def place(path: str | os.PathLike[str]) -> Location:
    """The one form that the rest works with; ``file://`` is a local path.

    >>> place("s3://bucket/run/"), place("file:///tmp/run")
    ('s3://bucket/run', PosixPath('/tmp/run'))
    """
    if isinstance(path, str) and path.startswith("file://"):
        return Path(path.removeprefix("file://"))
    if is_url(path):
        return str(path).rstrip("/")
    return Path(path)


def join(folder: Location, name: str) -> Location:
    """A file of a folder; an absolute name or a URL is itself.

    >>> join("s3://bucket/run", "a.pth"), join("s3://bucket/run", "s3://other/a.pth")
    ('s3://bucket/run/a.pth', 's3://other/a.pth')
    """
    if is_url(name) or Path(name).is_absolute():
        return place(name)
    return folder / name if isinstance(folder, Path) else f"{folder}/{name}"


def parent_of(path: Location) -> Location:
    """The folder of a file.

    >>> parent_of("s3://bucket/run/a.pth")
    's3://bucket/run'
    """
    return path.parent if isinstance(path, Path) else path.rpartition("/")[0]


def name_of(path: Location) -> str:
    """The last part of a path.

    >>> name_of("s3://bucket/run/a.pth")
    'a.pth'
    """
    return path.name if isinstance(path, Path) else path.rpartition("/")[2]
