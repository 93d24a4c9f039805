"""The ranks of a trial: processes that it forks into."""

from __future__ import annotations

import os
import socket
from contextlib import closing

import torch

from engine.errors import ConfigError

__all__ = ["become_ranks", "check_ranks"]


def check_ranks(ranks: int) -> None:
    """Refuse trials on ranks where they cannot be.

    Args:
        ranks: How many a trial has.

    Raises:
        ConfigError: It is none, this system cannot fork, or this process is a rank of
            several itself, each of which would make all trials.
    """
    if ranks < 1:
        message = f"verify-resume: nproc={ranks}: give a number of at least 1"
        raise ConfigError(message)
    if ranks > 1 and not hasattr(os, "fork"):
        message = f"verify-resume: nproc={ranks}: this system cannot fork: leave it out"
        raise ConfigError(message)
    if int(os.environ.get("WORLD_SIZE") or 1) > 1:
        message = (
            "verify-resume starts the processes of its trials itself: start it once, "
            "without torchrun, and with --nproc for several ranks"
        )
        raise ConfigError(message)


def become_ranks(count: int) -> int | None:
    """Fork into ranks that can meet, each with its share of the cores.

    Args:
        count: How many.

    Returns:
        In each rank its number, with torchrun's variables in the environment; in the
        process that forked ``None``, once they have ended.
    """
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    ranks = []
    for rank in range(count):
        process = os.fork()
        if process == 0:
            os.environ.update(
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE=str(count),
                LOCAL_WORLD_SIZE=str(count),
                MASTER_ADDR="127.0.0.1",
                MASTER_PORT=str(port),
            )
            # The variable is read when torch is imported, and it is.
            if "OMP_NUM_THREADS" not in os.environ:
                torch.set_num_threads(max(1, (os.cpu_count() or 1) // count))
            return rank
        ranks.append(process)
    for process in ranks:
        os.waitpid(process, 0)
    return None
