"""Several ranks of one run in processes of their own, on gloo.

:func:`run_ranks` calls a function on each rank and brings back what each returned;
:func:`run_commands` gives a command to each rank as torchrun would. Both fork from the
server of ``forked.py``, so a rank begins in milliseconds, with everything imported.
"""

from __future__ import annotations

import pickle
import socket
import sys
import tempfile
import threading
import traceback
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import forked

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping

__all__ = ["free_port", "rank_variables", "run_commands", "run_ranks"]

TIMEOUT = timedelta(seconds=60)  # of a collective: a rank that waits so long is alone


def run_ranks(function: Callable[..., Any], world: int, *arguments: Any) -> list[Any]:
    """What ``function(*arguments)`` returns on each rank of a gloo group.

    Args:
        function: Of a module; it and all that it is given are pickled.
        world: Ranks.
        arguments: The same on all ranks.

    Raises:
        AssertionError: A rank failed; the message has what each of them told.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = pickle.dumps((function, arguments))
        (folder / "job").write_bytes(job)
        done = _on_each(
            world,
            lambda rank: forked.run(
                "-m",
                "tests.ranks",
                name,
                cwd=forked.ROOT,
                env=rank_variables(rank, world),
            ),
        )
        results = []
        for rank in range(world):
            path = folder / f"result_{rank}"
            results.append(_unpickled(path) if path.exists() else None)
        told = [
            f"rank {rank} (exit {one.returncode}):\n{one.stdout}{one.stderr}"
            for rank, one in enumerate(done)
        ]
        assert all(one.returncode == 0 for one in done), "\n".join(told)
        return results


def run_commands(
    world: int,
    *words: str | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
) -> list[subprocess.CompletedProcess[str]]:
    """What ``python WORDS`` does on each rank, started as by torchrun.

    Args:
        world: Ranks.
        words: As for :func:`tests.forked.run`.
        cwd: Folder of all of them.
        env: Further variables.
    """
    port = free_port()
    return _on_each(
        world,
        lambda rank: forked.run(
            *words, cwd=cwd, env={**rank_variables(rank, world, port), **(env or {})}
        ),
    )


def rank_variables(rank: int, world: int, port: int = 0) -> dict[str, str]:
    """What torchrun tells a rank of one machine."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }


def free_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _on_each(
    world: int, start: Callable[[int], subprocess.CompletedProcess[str]]
) -> list[subprocess.CompletedProcess[str]]:
    found: dict[int, subprocess.CompletedProcess[str]] = {}

    def run(rank: int) -> None:
        found[rank] = start(rank)

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[rank] for rank in range(world)]


def _unpickled(path: Path) -> Any:
    return pickle.loads(path.read_bytes())  # noqa: S301  # written by these tests


def _main(folder: Path) -> None:
    """On a rank: join the group, do the job, leave the result."""
    import os

    from torch import distributed

    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/group",
        rank=rank,
        world_size=world,
        timeout=TIMEOUT,
    )
    try:
        function, arguments = _unpickled(folder / "job")
        result = function(*arguments)
    except BaseException:  # noqa: BLE001  # told, whatever it is
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # the others find the connection closed, and end too
    (folder / f"result_{rank}").write_bytes(pickle.dumps(result))
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
