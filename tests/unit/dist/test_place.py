"""A process's place, from what launchers leave in the environment."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dist.place import Place, check_launcher, infer_from, read_place
from engine.errors import ConfigError

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "node1",
    "MASTER_PORT": "29400",
}
SLURM = {
    "SLURM_PROCID": "5",
    "SLURM_NTASKS": "7",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "2",
    "SLURM_JOB_NODELIST": "gpu[07-09,12]",
    "SLURM_TASKS_PER_NODE": "2(x3),1",
    "SLURM_JOB_ID": "4711",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}
MPICH = {
    "PMI_RANK": "1",
    "PMI_SIZE": "2",
    "MPI_LOCALRANKID": "0",
    "MPI_LOCALNRANKS": "1",
    "MASTER_ADDR": "node1",
    # Of the process or its machine, though the names may sound otherwise.
    "PMI_ID": "1",
    "PMI_FD": "11",
    "HYDI_CONTROL_FD": "7",
}
SETTINGS = {"pytorch": TORCHRUN, "slurm": SLURM, "mpi": OPEN_MPI}


def place(launcher: str, environ: dict[str, str]) -> Place:
    """Read without asking Slurm, which may be there."""
    from engine.dist.place import first_host

    return read_place(launcher, environ, lambda nodes: [first_host(nodes)])


@pytest.mark.parametrize(
    ("launcher", "environ", "found"),
    [
        ("pytorch", TORCHRUN, (3, 4, 1, 2, "node1", 29400)),
        ("slurm", SLURM, (5, 7, 1, 2, "gpu07", 14711)),
        ("slurm", {**SLURM, "MASTER_PORT": "29400"}, (5, 7, 1, 2, "gpu07", 29400)),
        (  # srun took one of the job's nodes
            "slurm",
            {
                **SLURM,
                "SLURM_PROCID": "1",
                "SLURM_NTASKS": "3",
                "SLURM_NODEID": "0",
                "SLURM_STEP_NODELIST": "gpu12",
                "SLURM_STEP_TASKS_PER_NODE": "3",
            },
            (1, 3, 1, 3, "gpu12", 14711),
        ),
        ("mpi", OPEN_MPI, (1, 2, 1, 2, "127.0.0.1", 29500)),
        (
            "mpi",
            {**OPEN_MPI, "OMPI_MCA_ess_base_jobid": "1241579521"},
            (1, 2, 1, 2, "127.0.0.1", 29521),
        ),
        ("mpi", MPICH, (1, 2, 0, 1, "node1", 29500)),
    ],
)
def test_each_launcher_tells_a_place(
    launcher: str, environ: dict[str, str], found: tuple[Any, ...]
) -> None:
    """Rank, world size, those of the machine, and where all meet."""
    one = place(launcher, environ)
    told = (one.rank, one.world_size, one.local_rank, one.local_size)
    assert (*told, one.address, one.port) == found
    assert one.launcher == launcher
    assert infer_from(environ) == launcher
    assert place("pytorch", one.variables()).variables() == one.variables()


@pytest.mark.parametrize("launcher", SETTINGS)
@given(data=st.data())
def test_a_missing_variable_is_named_with_the_command(
    launcher: str, data: st.DataObject
) -> None:
    """Whichever it is; an empty one counts as missing."""
    needed = {
        "pytorch": [name for name in TORCHRUN if name != "LOCAL_WORLD_SIZE"],
        "slurm": ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"],
        "mpi": [name for name in OPEN_MPI if "LOCAL_SIZE" not in name],
    }[launcher]
    gone = data.draw(st.sets(st.sampled_from(needed), min_size=1), label="missing")
    blank = data.draw(st.booleans(), label="blank")
    environ = {
        name: "" if name in gone else value
        for name, value in SETTINGS[launcher].items()
        if blank or name not in gone
    }
    with pytest.raises(ConfigError) as caught:
        place(launcher, environ)
    message = str(caught.value)
    assert all(name in message for name in gone)
    assert "Start with: " in message
    assert f"--launcher {launcher}" in message


@pytest.mark.parametrize(
    ("launcher", "changes", "said"),
    [
        ("pytorch", {"RANK": "4"}, "rank 4 of 4.*ranks count from 0"),
        ("pytorch", {"RANK": "-1"}, "RANK='-1' is no number from 0 on"),
        ("pytorch", {"WORLD_SIZE": "two"}, "WORLD_SIZE='two' is no number"),
        ("pytorch", {"LOCAL_RANK": "2"}, "on this machine 2 of 2"),
        ("pytorch", {"MASTER_PORT": "70000"}, "a port from 1 to 65535"),
        ("slurm", {"SLURM_PROCID": "7"}, "rank 7 of 7"),
        ("mpi", {"OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, "MASTER_ADDR=HOST"),
    ],
)
def test_places_that_cannot_be(
    launcher: str, changes: dict[str, str], said: str
) -> None:
    """Numbers that contradict each other are named."""
    with pytest.raises(ConfigError, match=said):
        place(launcher, {**SETTINGS[launcher], **changes})


def test_a_launcher_has_one_of_four_names() -> None:
    """Another is refused, with the nearest."""
    assert check_launcher("none") == "none"
    with pytest.raises(ConfigError, match=r"mpi\. Did you mean 'slurm'\?"):
        check_launcher("slrum")
    with pytest.raises(ConfigError, match="launcher=None"):
        check_launcher(None)
    assert infer_from({}) == "none"
