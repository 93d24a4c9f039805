"""Joining the processes that a launcher has started into one group.

Torch makes the group, and Ignite takes it over, for its metrics and handlers: Ignite's
own start would take a Slurm job's variables for those of a torchrun inside of it, would
choose the GPU by the rank on the machine even where each rank sees only its own, and
would put the environment back at the end.
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from datetime import timedelta
from threading import Thread
from typing import TYPE_CHECKING, Any

import ignite.distributed as idist
import torch
from torch import distributed

from engine.dist import place as places
from engine.dist.board import attach, open_board
from engine.dist.collectives import barrier
from engine.dist.context import is_distributed
from engine.dist.meeting import MEETING, connect, making_a_group
from engine.errors import ConfigError, StateError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.dist.place import Place

__all__ = ["break_off", "check_timeout", "infer_launcher", "init_dist", "leave"]

_CLOSING_SECONDS = 3.0
BACKENDS = ("nccl", "gloo", "mpi")


def infer_launcher() -> str:
    """The launcher whose variables the environment has; ``"none"`` without one."""
    return places.infer_from(os.environ)


def init_dist(
    launcher: str,
    backend: str | None = "nccl",
    init_backend: str = "torch",
    **kwargs: Any,
) -> None:
    """Join the group of all processes that a launcher has started.

    Each of them calls it, before anything else is done with ranks.

    Args:
        launcher: ``"pytorch"`` (torchrun), ``"slurm"`` (srun) or ``"mpi"`` (mpirun).
        backend: ``"nccl"`` for GPUs, ``"gloo"``, or ``"mpi"`` where torch was built
            with it; ``None``: nccl where there are GPUs, else gloo.
        init_backend: ``"torch"``, the only one.
        kwargs: ``timeout`` of a collective, in seconds or as a ``timedelta``, and what
            else ``torch.distributed.init_process_group`` takes.

    Raises:
        ConfigError: The launcher's variables are missing or contradict each other, this
            process has no GPU for nccl, the port is in use, or a rank is not reached.
        StateError: This process is in a group already.
    """
    if places.check_launcher(launcher) == "none":
        message = "init_dist('none'): give pytorch, slurm or mpi, or do not call it"
        raise ConfigError(message)
    if init_backend != "torch":
        message = f"init_dist(): init_backend={init_backend!r}: give 'torch'"
        raise ConfigError(message)
    if is_distributed():
        message = "init_dist(): this process is in a process group already"
        raise StateError(message)
    timeout = check_timeout(kwargs.pop("timeout", None), "init_dist()")
    place = places.read_place(launcher, os.environ)
    chosen = _check_backend(backend, place)
    board = open_board(place)
    if timeout is not None:
        kwargs["timeout"] = timeout
    os.environ.update(place.variables())
    # Not by ``env://``: after a restart that may find the addresses of the dead.
    store = board.meeting.store(connect(place, timeout or MEETING), "group")
    with _without_slurm(), making_a_group():
        distributed.init_process_group(
            chosen,
            store=store,
            rank=place.rank,
            world_size=place.world_size,
            **kwargs,
        )
        idist.sync()
    attach(board)


def leave() -> None:
    """Wait for the others, then leave the group; without one do nothing."""
    if is_distributed():
        barrier()
        idist.finalize()
        if is_distributed():  # a group that Ignite has not heard of
            distributed.destroy_process_group()


def break_off() -> None:
    """Let the others notice at once that this rank ends; without a group do nothing.

    A backend that waits for what the others still owe is not waited for.
    """
    if is_distributed():
        closing = Thread(target=distributed.destroy_process_group, daemon=True)
        closing.start()
        closing.join(_CLOSING_SECONDS)


def check_timeout(timeout: Any, where: str) -> timedelta | None:
    """How long a collective may take.

    Args:
        timeout: Seconds, a ``timedelta``, or ``None``: as long as torch allows.
        where: For the message.

    Raises:
        ConfigError: It is something else, or not above 0.

    >>> check_timeout(90, "dist_cfg")
    datetime.timedelta(seconds=90)
    """
    if timeout is None:
        return None
    if isinstance(timeout, int | float) and not isinstance(timeout, bool):
        timeout = timedelta(seconds=timeout)
    if not isinstance(timeout, timedelta) or timeout <= timedelta():
        message = f"{where}: timeout={timeout!r}: give a number of seconds above 0"
        raise ConfigError(message)
    return timeout


def _check_backend(backend: str | None, place: Place) -> str:
    """The backend, after the GPU that goes with it was chosen."""
    gpus = torch.cuda.device_count()
    chosen = backend or ("nccl" if gpus else "gloo")
    names = {part.rpartition(":")[2] for part in chosen.split(",")}  # "cpu:gloo,..."
    for name in names:
        if name not in BACKENDS:
            near = did_you_mean(name, BACKENDS)
            message = f"backend={backend!r}: give {', '.join(BACKENDS)}.{near}"
            raise ConfigError(message)
    if "nccl" not in names and not gpus:
        return chosen
    host = socket.gethostname()
    if not gpus:
        message = (
            f"backend='nccl' needs a GPU for each rank, and rank {place.rank} on "
            f"{host} sees none. On CPUs use gloo: env_cfg.dist_cfg.backend='gloo', or "
            "leave it out"
        )
        raise ConfigError(message)
    # A launcher that gives each rank its own GPU shows it no other.
    own = gpus == 1 and "," not in os.environ.get("CUDA_VISIBLE_DEVICES", ",")
    if place.local_rank >= gpus and not own:
        message = (
            f"rank {place.rank} on {host} has no GPU: it is number {place.local_rank} "
            f"there, and there are {gpus}. Start at most {gpus} ranks on a machine, or "
            "give CUDA_VISIBLE_DEVICES=-1 to use CPUs"
        )
        raise ConfigError(message)
    torch.cuda.set_device(0 if own else place.local_rank)
    return chosen


@contextmanager
def _without_slurm() -> Iterator[None]:
    """Hide a Slurm job from Ignite, which would take the local rank from it."""
    job = os.environ.pop("SLURM_JOB_ID", None)
    try:
        yield
    finally:
        if job is not None:
            os.environ["SLURM_JOB_ID"] = job
