"""The checkpoint of a run that was stopped between two regular ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.checkpoint import Store, find_latest_checkpoint
from engine.hooks import CheckpointHook

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StopFile", "stop_name"]


def stop_name(iteration: int) -> str:
    """The file's name.

    >>> stop_name(37)
    'stopped_iter_37.pth'
    """
    return f"stopped_iter_{iteration}.pth"


class StopFile:
    """The one checkpoint of a run that lies between its regular ones.

    It stands in the folder of the regular ones, ``last_checkpoint`` names it, so a
    resume finds it, and it goes when a newer regular one has taken its place there.

    Args:
        context: The run.
    """

    def __init__(self, context: Any) -> None:
        self._context = context
        self._name: str | None = None

    @property
    def folder(self) -> Path:
        """Where the run's checkpoints lie: of its first CheckpointHook, or its own."""
        for record in self._context.hook_set:
            if isinstance(record.hook, CheckpointHook):
                return record.hook.folder(self._context)
        return Path(self._context.work_dir)

    @property
    def newest(self) -> Path | None:
        """The file that ``last_checkpoint`` names."""
        named = find_latest_checkpoint(self.folder)
        return None if named is None else Path(named)

    def write(self, iteration: int, save: Callable[[Path, str], object]) -> Path:
        """Write it, and drop the one before.

        Args:
            iteration: Iterations done, for the name.
            save: Called with folder and name; the file is whole when it returns.

        Raises:
            CheckpointError: It could not be written.
        """
        folder, name = self.folder, stop_name(iteration)
        save(folder, name)
        Store(folder).point_to(name)
        old, self._name = self._name, name
        if old not in (None, name):
            Store(folder).drop(str(old))
        return folder / name

    def adopt(self, iteration: int) -> None:
        """The run goes on from there: if it was from such a file, that is now its own.

        Args:
            iteration: Iterations done at the resume.
        """
        self._name = stop_name(iteration)

    def retire(self) -> None:
        """Drop it if a newer checkpoint took its place."""
        newest = self.newest
        if self._name is None or newest is None or newest.name == self._name:
            return
        Store(self.folder).drop(self._name)
        self._name = None
