"""One save, from what was captured to the deletion of what it makes superfluous."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define, field

from engine.checkpoint import Location, Store, join
from engine.strategies import SingleStrategy, Strategy

__all__ = ["Save", "pointer_text"]


@define
class Save:
    """A checkpoint that is to be written; runs in the writer's thread or at once.

    Args:
        store: Where.
        name: Its file.
        checkpoint: What is written; nothing else may change it meanwhile.
        pointers: Stores whose ``last_checkpoint`` names it then, and by which text.
        drop: Files of this run that go last.
        strategy: Writes it: rank 0 the whole, or all ranks their pieces.
    """

    store: Store
    name: str
    checkpoint: Any
    pointers: Sequence[tuple[Store, str]] = ()
    drop: Sequence[str] = ()
    strategy: Strategy = field(factory=SingleStrategy, kw_only=True)
    written: bool = field(default=False, init=False)
    replaced_another: bool = field(default=False, init=False)

    def run(self) -> None:
        """Write, point, drop: each only when what comes before it is durable.

        Raises:
            CheckpointError: A step failed; those after it were not begun.
        """
        run_id = self.checkpoint["meta"]["run_id"]
        owner = self.store.owner(self.name)
        self.strategy.write(self.store, self.name, self.checkpoint)
        self.written = True
        self.replaced_another = owner not in ("", run_id)
        for store, text in self.pointers:
            store.point_to(text)
        for name in self.drop:
            self.store.drop(name, run_id=run_id)


def pointer_text(folder: Location, work_dir: Path, name: str) -> str:
    """What a work dir's ``last_checkpoint`` says of a file in another folder.

    Relative if it lies in the work dir, so that this can be moved.

    >>> pointer_text(Path("/runs/a/saved"), Path("/runs/a"), "epoch_1.pth")
    'saved/epoch_1.pth'
    >>> pointer_text("s3://bucket/a", Path("/runs/a"), "epoch_1.pth")
    's3://bucket/a/epoch_1.pth'
    """
    if isinstance(folder, Path):
        inside = folder.resolve()
        if inside.is_relative_to(work_dir.resolve()):
            return os.fspath(inside.relative_to(work_dir.resolve()) / name)
        return os.fspath(inside / name)
    return str(join(folder, name))
