"""Save a checkpoint, and be killed before a given step of it.

``dying_save.py FOLDER NAME STEP``: a folder that holds ``epoch_1.pth`` and
``epoch_2.pth`` gets NAME, and loses ``epoch_1.pth`` after it. Before step STEP
(opening, writing, flushing, renaming, deleting; counted from 1) it kills itself.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from engine.checkpoint import Store
from engine.checkpoint.format import FORMAT, NEEDED
from engine.checkpoint.hashing import HashingFile
from engine.hooks.saving import Save

RUN = "a-run"


def checkpoint(number: int) -> dict[str, Any]:
    """The least that a run can be resumed from; some pages long."""
    return {
        "meta": {"run_id": RUN, "epoch": number, "iter": number},
        "message_hub": {},
        "state_dict": {"weight": torch.full((30_000,), float(number))},
        "engine": dict.fromkeys(NEEDED) | {"format": FORMAT},
    }


def save(store: Store, name: str, number: int, drop: tuple[str, ...] = ()) -> None:
    """What the hook does, at once."""
    Save(store, name, checkpoint(number), ((store, name),), drop).run()


def die_before(step: int) -> None:
    """Let the process kill itself before so many steps."""
    done = 0

    def dying(owner: Any, name: str) -> None:
        healthy = getattr(owner, name)

        def count(*args: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return healthy(*args, **options)

        setattr(owner, name, count)

    for name in ("open", "fsync", "replace", "unlink"):
        dying(os, name)
    dying(HashingFile, "write")
    dying(fcntl, "flock")


if __name__ == "__main__":
    folder, target, at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    opened = Store(folder)
    die_before(at)
    save(opened, target, 3, drop=("epoch_1.pth",))
