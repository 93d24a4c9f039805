"""A process's place among those that were started with it, as its launcher tells.

Launchers tell in variables of the environment, each in its own. What is read here is
pure: from the variables to a :class:`Place`, or to an error that says which is missing
and how to start.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import define, field, frozen
from attrs.validators import ge

from engine.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["LAUNCHERS", "Place", "check_launcher", "infer_from", "read_place"]

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")

_COMMANDS = {
    "pytorch": "torchrun --nproc-per-node N -m engine train CONFIG --launcher pytorch, "
    "or without torchrun: engine train CONFIG --nproc N",
    "slurm": "srun engine train CONFIG --launcher slurm, in a job of sbatch or salloc",
    "mpi": "mpirun -n N engine train CONFIG --launcher mpi",
}
# By their meaning, the names that MPIs give: Open MPI; MPICH and Intel MPI; MVAPICH2.
_MPI = {
    "rank": ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK"),
    "world": ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"),
    "local": (
        *("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"),
        "MV2_COMM_WORLD_LOCAL_RANK",
    ),
    "size": (
        *("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"),
        "MV2_COMM_WORLD_LOCAL_SIZE",
    ),
    "job": ("PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"),  # MPICH's tell of none
}
_PORTS = range(10_000, 30_000)  # below those that systems give to outgoing connections
_DEFAULT_PORT = 29_500  # torchrun's


@frozen(kw_only=True)
class Place:
    """Where a process stands, and where all of them meet.

    Args:
        launcher: Who started it.
        rank: Among all, from 0.
        world_size: All of them.
        local_rank: Among those of its machine, from 0.
        local_size: Those of its machine; ``None`` if the launcher does not tell.
        address: Of rank 0's machine.
        port: There.
    """

    launcher: str
    rank: int = field(validator=ge(0))
    world_size: int = field(validator=ge(1))
    local_rank: int = field(validator=ge(0))
    local_size: int | None
    address: str
    port: int

    def variables(self) -> dict[str, str]:
        """The same in torchrun's variables, which torch and others read."""
        found = {
            "RANK": self.rank,
            "WORLD_SIZE": self.world_size,
            "LOCAL_RANK": self.local_rank,
            "LOCAL_WORLD_SIZE": self.local_size,
            "MASTER_ADDR": self.address,
            "MASTER_PORT": self.port,
        }
        return {name: str(value) for name, value in found.items() if value is not None}


def check_launcher(launcher: object) -> str:
    """The name of a launcher.

    Raises:
        ConfigError: There is none of that name.

    >>> check_launcher("tcp")
    Traceback (most recent call last):
    engine.errors.ConfigError: launcher='tcp': give none, pytorch, slurm or mpi
    """
    if not isinstance(launcher, str) or launcher not in LAUNCHERS:
        near = did_you_mean(launcher, LAUNCHERS) if isinstance(launcher, str) else ""
        message = (
            f"launcher={launcher!r}: give {', '.join(LAUNCHERS[:-1])} or "
            f"{LAUNCHERS[-1]}{near and '.' + near}"
        )
        raise ConfigError(message)
    return launcher


def infer_from(environ: Mapping[str, str]) -> str:
    """The launcher whose variables are there; ``"none"`` without one.

    >>> infer_from({"SLURM_NTASKS": "2"})
    'slurm'
    """
    if "WORLD_SIZE" in environ:
        return "pytorch"
    if "SLURM_NTASKS" in environ:
        return "slurm"
    if any(name in environ for name in (*_MPI["world"], *_MPI["local"])):
        return "mpi"
    return "none"


def read_place(
    launcher: str,
    environ: Mapping[str, str],
    hostnames: Callable[[str], Sequence[str]] | None = None,
) -> Place:
    """This process's place.

    Args:
        launcher: ``"pytorch"``, ``"slurm"`` or ``"mpi"``.
        environ: The variables.
        hostnames: Gives the hosts of a Slurm list; ``None`` asks ``scontrol``.

    Raises:
        ConfigError: A variable is missing, or they contradict each other.
    """
    variables = _Variables(launcher, environ)
    if launcher == "pytorch":
        place = _of_torchrun(variables)
    elif launcher == "slurm":
        place = _of_slurm(variables, hostnames or _expand)
    else:
        place = _of_mpi(variables)
    size = place.local_size
    if place.rank >= place.world_size or (size and place.local_rank >= size):
        message = (
            f"launcher={launcher!r}: the environment says rank {place.rank} of "
            f"{place.world_size}, and on this machine {place.local_rank} of {size}: "
            f"ranks count from 0. Start with: {_COMMANDS[launcher]}"
        )
        raise ConfigError(message)
    if not 0 < place.port < 2**16:
        message = f"MASTER_PORT={place.port}: give a port from 1 to 65535"
        raise ConfigError(message)
    return place


@define
class _Variables:
    """A launcher's variables; those that are missing are told all at once."""

    launcher: str
    environ: Mapping[str, str]
    missing: list[str] = field(factory=list)

    def text(self, *names: str) -> str | None:
        """The first of these that is there and not empty."""
        return next((self.environ[n] for n in names if self.environ.get(n)), None)

    def number(self, *names: str) -> int | None:
        """Likewise, as a number from 0 on."""
        name = next((n for n in names if self.environ.get(n)), None)
        if name is None:
            return None
        value = self.environ[name]
        if not re.fullmatch(r"\d+", value):
            message = (
                f"launcher={self.launcher!r}: {name}={value!r} is no number from 0 on. "
                f"Start with: {_COMMANDS[self.launcher]}"
            )
            raise ConfigError(message)
        return int(value)

    def needed_text(self, *names: str) -> str:
        """As :meth:`text`; noted as missing if there is none."""
        found = self.text(*names)
        if found is None:
            self.missing.append(" or ".join(names))
        return found or ""

    def needed_number(self, *names: str, least: int = 0) -> int:
        """As :meth:`number`; noted as missing if there is none."""
        found = self.number(*names)
        if found is None:
            self.missing.append(" or ".join(names))
        return max(found or 0, least)

    def check(self) -> None:
        """Raise if any was missing."""
        if self.missing:
            message = (
                f"launcher={self.launcher!r} takes a process's place from variables "
                f"that are not set: {', '.join(self.missing)}. Start with: "
                f"{_COMMANDS[self.launcher]}"
            )
            raise ConfigError(message)

    def port(self, job: str | None) -> int:
        """``MASTER_PORT``, or one that is the same in all processes of a job."""
        given = self.number("MASTER_PORT")
        if given is not None:
            return given
        if job is None:
            return _DEFAULT_PORT
        number = int(job) if job.isdigit() else zlib.crc32(job.encode())
        return _PORTS[number % len(_PORTS)]


def _of_torchrun(given: _Variables) -> Place:
    rank = given.needed_number("RANK")
    world = given.needed_number("WORLD_SIZE", least=1)
    local = given.needed_number("LOCAL_RANK")
    address = given.needed_text("MASTER_ADDR")
    port = given.needed_number("MASTER_PORT")
    given.check()
    return Place(
        launcher="pytorch",
        rank=rank,
        world_size=world,
        local_rank=local,
        local_size=given.number("LOCAL_WORLD_SIZE"),
        address=address,
        port=port,
    )


def _of_slurm(given: _Variables, hostnames: Callable[[str], Sequence[str]]) -> Place:
    rank = given.needed_number("SLURM_PROCID")
    world = given.needed_number("SLURM_NTASKS", least=1)
    local = given.needed_number("SLURM_LOCALID")
    # Those of the step: srun may take fewer nodes than its job has.
    nodes = given.text("SLURM_STEP_NODELIST")
    nodes = nodes or given.needed_text("SLURM_JOB_NODELIST", "SLURM_NODELIST")
    given.check()
    tasks = given.text("SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE")
    counts = _counts(tasks) if tasks else []
    node = given.number("SLURM_NODEID")
    known = node is not None and node < len(counts)
    return Place(
        launcher="slurm",
        rank=rank,
        world_size=world,
        local_rank=local,
        local_size=counts[node or 0] if known else None,
        address=given.text("MASTER_ADDR") or hostnames(nodes)[0],
        port=given.port(given.text("SLURM_JOB_ID", "SLURM_JOBID")),
    )


def _of_mpi(given: _Variables) -> Place:
    rank = given.needed_number(*_MPI["rank"])
    world = given.needed_number(*_MPI["world"], least=1)
    local, size = given.needed_number(*_MPI["local"]), given.number(*_MPI["size"])
    given.check()
    address = given.text("MASTER_ADDR")
    if address is None and size == world:
        address = "127.0.0.1"  # all are here
    if address is None:
        message = (
            "launcher='mpi': MPI does not tell on which machine rank 0 is. Name it: "
            "mpirun -x MASTER_ADDR=HOST ... (Open MPI), mpiexec -genv MASTER_ADDR HOST "
            "... (MPICH)"
        )
        raise ConfigError(message)
    return Place(
        launcher="mpi",
        rank=rank,
        world_size=world,
        local_rank=local,
        local_size=size,
        address=address,
        port=given.port(given.text(*_MPI["job"])),
    )


def _counts(text: str) -> list[int]:
    """Tasks on each node, as Slurm writes them.

    >>> _counts("2(x3),1")
    [2, 2, 2, 1]
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
        if match is None:
            return []  # a form that is not known: the local size stays open
        found += [int(match[1])] * int(match[2] or 1)
    return found


def _expand(nodes: str) -> list[str]:
    """The hosts of a Slurm list, by Slurm itself where it is there."""
    if shutil.which("scontrol") is not None:
        done = subprocess.run(  # noqa: S603  # Slurm's own list, and no shell
            ["scontrol", "show", "hostnames", nodes],  # noqa: S607  # found as srun is
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0 and done.stdout.split():
            return done.stdout.split()
    return [first_host(nodes)]


def first_host(nodes: str) -> str:
    """The first host of a Slurm list.

    >>> (
    ...     first_host("gpu[07-09,12],login1"),
    ...     first_host("a1,a2"),
    ...     first_host("r[1-2]n[3-4]"),
    ... )
    ('gpu07', 'a1', 'r1n3')
    """
    # A comma ends the first name, unless it stands in brackets.
    name = re.match(r"(?:[^,\[]|\[[^\]]*\])+", nodes)
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", name[0] if name else nodes)
