"""The checkpoint of a run that was stopped between two regular ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.checkpoint import Location, Store, find_latest_checkpoint, join, place
from engine.dist import on_main
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
    def _hook(self) -> CheckpointHook | None:
        for record in self._context.hook_set:
            if isinstance(record.hook, CheckpointHook):
                return record.hook
        return None

    @property
    def store(self) -> Store:
        """Where the run's checkpoints lie: its first CheckpointHook's, or its own."""
        hook = self._hook
        if hook is None:
            return Store(Path(self._context.work_dir))
        return hook.store(self._context)

    @property
    def newest(self) -> Location | None:
        """The file that ``last_checkpoint`` names."""
        store = self.store
        named = find_latest_checkpoint(store.folder, store.backend_args)
        return None if named is None else place(named)

    def write(
        self,
        iteration: int,
        run_id: str,
        save: Callable[[Store, str], object],
        *,
        together: bool = True,
    ) -> Location:
        """Write it, and drop the one before.

        Args:
            iteration: Iterations done, for the name.
            run_id: The run's: what another one wrote is not dropped.
            save: Called with folder and name; the file is whole when it returns.
            together: Whether all ranks call this; if not, rank 0 does after a failure,
                when the others are not there.

        Raises:
            CheckpointError: It could not be written.
        """
        store, name, hook = self.store, stop_name(iteration), self._hook
        save(store, name)
        pointers: tuple[tuple[Store, str], ...] = ((store, name),)
        if hook is not None:
            pointers = hook.pointers(self._context, name)
        old, self._name = self._name, name

        def settle() -> None:
            for where, text in pointers:
                where.point_to(text)
            if old not in (None, name):
                store.drop(str(old), run_id=run_id)

        if together:
            on_main(settle)
        else:
            settle()
        return join(store.folder, name)

    def adopt(self, iteration: int) -> None:
        """The run goes on from there: if it was from such a file, that is now its own.

        Args:
            iteration: Iterations done at the resume.
        """
        self._name = stop_name(iteration)

    def superseded(self) -> tuple[str, ...]:
        """Its name, for who deletes it when a newer checkpoint has taken its place."""
        name, self._name = self._name, None
        return () if name is None else (name,)
