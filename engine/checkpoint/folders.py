"""Folders of shards beside checkpoint files: their names, and which are left over."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["FOLDER_SUFFIX", "folder_name", "left_over", "owner_of"]

FOLDER_SUFFIX = ".dcp"


def folder_name(name: str, token: str) -> str:
    """A folder for the shards of a checkpoint.

    Args:
        name: The checkpoint's file.
        token: Another one in each write; without dots.

    >>> folder_name("epoch_3.pth", "1f2e3d4c")
    'epoch_3.pth.1f2e3d4c.dcp'
    """
    return f"{name}.{token}{FOLDER_SUFFIX}"


def owner_of(folder: str) -> str:
    """The checkpoint file that a folder's name tells.

    >>> owner_of("epoch_3.pth.1f2e3d4c.dcp")
    'epoch_3.pth'
    """
    return folder.removesuffix(FOLDER_SUFFIX).rpartition(".")[0]


def left_over(folders: Iterable[str], named: Mapping[str, str | None]) -> list[str]:
    """Folders that no checkpoint needs.

    Args:
        folders: All that there are.
        named: By checkpoint file that is there, the folder that it names; ``None``:
            that cannot be told, and all of its folders stay.

    >>> left_over(
    ...     ["a.pth.1.dcp", "a.pth.2.dcp", "b.pth.3.dcp"], {"a.pth": "a.pth.2.dcp"}
    ... )
    ['a.pth.1.dcp', 'b.pth.3.dcp']
    """
    found = []
    for folder in folders:
        file = owner_of(folder)
        if file not in named or named[file] not in (None, folder):
            found.append(folder)
    return found
