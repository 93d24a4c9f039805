"""``--nproc N``: ranks of one machine, started and watched by the command itself.

The command forks before anything is imported; each fork goes on as one rank, and the
first process watches: it hands signals on, notes who was killed, and ends those that do
not end by themselves once one has failed. No shell and no second interpreter is needed,
and what torchrun does for several machines is left to torchrun.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["chosen_code", "start_ranks"]

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
GRACE_SECONDS = 10.0
"""How long ranks have to end by themselves once one has failed."""
KILL_SECONDS = 5.0
"""How long after SIGTERM until SIGKILL."""

_FOLDER = (
    "ENGINE_RANKS_FOLDER"  # as engine.dist.board calls it; no torch is loaded here
)
_SIGNALLED = 128  # what a shell adds to a signal's number
_MISTAKE = 2


def start_ranks(count: int) -> int | None:
    """Fork into ranks and watch them.

    Args:
        count: How many.

    Returns:
        In the first process the command's exit code, when all have ended; in each rank
        ``None``, at once, with torchrun's variables in the environment.
    """
    folder = Path(tempfile.mkdtemp(prefix="engine_ranks_"))
    variables = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": os.environ.get("MASTER_PORT") or str(_free_port()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS")
        or str(max(1, (os.cpu_count() or 1) // count)),
        _FOLDER: str(folder),
    }
    sys.stdout.flush()
    sys.stderr.flush()
    watcher = os.getpid()
    ranks: dict[int, int] = {}  # by process
    for rank in range(count):
        process = os.fork()
        if process == 0:
            _become_rank(watcher)
            os.environ.update(variables, RANK=str(rank), LOCAL_RANK=str(rank))
            return None
        ranks[process] = rank
    try:
        return _Watch(ranks, folder).until_all_end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _become_rank(watcher: int) -> None:
    # Ctrl-C reaches all processes of a terminal's group: the watcher alone, which hands
    # it on, so that each rank gets it once. A second one ends a rank at once.
    os.setpgid(0, 0)
    if sys.platform == "linux":
        end_with_parent = 1  # PR_SET_PDEATHSIG: a watcher that is killed leaves nobody
        ctypes.CDLL(None).prctl(end_with_parent, signal.SIGTERM)
        if os.getppid() != watcher:
            os.kill(os.getpid(), signal.SIGTERM)


class _Watch:
    """Waits for ranks.

    Args:
        ranks: By process.
        folder: Which they share.
    """

    def __init__(self, ranks: dict[int, int], folder: Path) -> None:
        self._alive = dict(ranks)
        self._ends = folder / "ends"
        self._codes: dict[int, int] = {}
        self._sent: set[int] = set()  # signals that came to us
        self._deadline: float | None = None
        self._last = signal.SIGTERM  # what is sent when the time is over

    def until_all_end(self) -> int:
        before = {number: signal.getsignal(number) for number in FORWARDED}
        for number in FORWARDED:
            if before[number] is not signal.SIG_IGN:  # nohup's stay ignored
                signal.signal(number, self._forward)
        try:
            while self._alive:
                self._wait_for_one()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)
        return chosen_code(self._codes.values())

    def _forward(self, number: int, _: object) -> None:
        self._sent.add(number)
        self._send(number)

    def _send(self, number: int) -> None:
        for process in list(self._alive):
            os.kill(process, number)  # not waited for yet, so it is no other's number

    def _wait_for_one(self) -> None:
        process, status = os.waitpid(-1, 0 if self._deadline is None else os.WNOHANG)
        if process in self._alive:
            self._note(self._alive.pop(process), os.waitstatus_to_exitcode(status))
        elif process == 0:
            time.sleep(0.05)
            self._heed_the_time()

    def _note(self, rank: int, code: int) -> None:
        ours = -code in self._sent
        self._codes[rank] = _SIGNALLED - code if code < 0 else code
        if code < 0 and not ours:
            name = signal.Signals(-code).name
            with self._ends.open("a") as file:
                file.write(f"{rank} {name}\n")
            if not self._alive:  # else one of the others tells
                print(f"rank {rank} was killed by {name}", file=sys.stderr)  # noqa: T201
        stopped = code - _SIGNALLED in self._sent
        if code != 0 and not stopped and not ours and self._deadline is None:
            self._deadline = time.monotonic() + GRACE_SECONDS

    def _heed_the_time(self) -> None:
        if self._deadline is None or time.monotonic() < self._deadline:
            return
        self._sent.add(self._last)
        self._send(self._last)
        self._last = signal.SIGKILL
        self._deadline = time.monotonic() + KILL_SECONDS


def chosen_code(codes: Iterable[int]) -> int:
    """The exit code of a command whose ranks ended with these.

    A user's mistake is told by 2, else that of a rank that was killed; a 1 may be that
    of a rank that only lost another one.

    >>> chosen_code([1, 2]), chosen_code([1, 137]), chosen_code([143, 143])
    (2, 137, 143)
    """
    found = set(codes)
    return _MISTAKE if _MISTAKE in found else max(found, default=0)
