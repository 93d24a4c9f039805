"""The command on several ranks, by each launcher; and what is told when one breaks.

All launchers train the same run, so all must end with the same weights, bit for bit.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from tests import forked
from tests.ranks import free_port, rank_variables, run_commands

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    Done = subprocess.CompletedProcess[str]

pytestmark = pytest.mark.distributed

CONFIG = Path(__file__).with_name("launched.py")
TRAIN = ("-m", "engine", "train", CONFIG, "--work-dir", "work")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")


def train(folder: Path, *words: str, **env: str) -> Done:
    """``engine train`` as one process of the tests' server."""
    return forked.run(*TRAIN, *words, cwd=folder, env=env)


def command(folder: Path, *words: object, **env: str) -> Done:
    """Any other command."""
    return subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(forked.ROOT), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def together(*starts: Callable[[], Done]) -> list[Done]:
    """What commands do that wait for each other."""
    found: dict[int, Done] = {}

    def run(place: int) -> None:
        found[place] = starts[place]()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(starts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[place] for place in range(len(starts))]


def weights(folder: Path) -> Mapping[str, Tensor]:
    """What a run has learned."""
    path = folder / "work" / "epoch_2.pth"
    found: Mapping[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return found


def assert_trained(folder: Path, done: list[Done], whole: Path) -> None:
    """All ended well, as one run with one log, and with the weights of another."""
    told = [one.stdout + one.stderr for one in done]
    assert [one.returncode for one in done] == [0] * len(done), "\n".join(told)
    assert "".join(told).count("Trained 2 epochs, 8 iterations") == 1
    assert len(list((folder / "work").glob("*/*.log.jsonl"))) == 1
    expected, found = weights(whole), weights(folder)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing has disturbed, by ``--nproc 2``."""
    folder = tmp_path_factory.mktemp("whole")
    done = train(folder, "--nproc", "2", BREAK="warn -1 1")
    assert_trained(folder, [done], folder)
    for said in ("something is odd", "UserWarning: something else is odd"):
        assert done.stderr.count(said) == 1, "all ranks warned, one printed"
    return folder


def by_slurm(folder: Path, **env: str) -> list[Done]:
    """The two tasks of a job on one node."""
    job = {
        "SLURM_JOB_ID": "4711",
        "SLURM_NTASKS": "2",
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_TASKS_PER_NODE": "2",
        "SLURM_NODEID": "0",
        "MASTER_PORT": str(free_port()),
        **env,
    }

    def task(rank: str) -> Done:
        place = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank}
        return train(folder, "--launcher", "slurm", **job, **place)

    return together(lambda: task("0"), lambda: task("1"))


def test_slurm_tells_ranks_by_its_variables(whole: Path, tmp_path: Path) -> None:
    """Of a job of two tasks on one node."""
    assert_trained(tmp_path, by_slurm(tmp_path), whole)


def test_rank_0_stays_until_others_know_why_it_failed(tmp_path: Path) -> None:
    """They meet at it, and could not read what it left if it were gone."""
    first, second = by_slurm(tmp_path, BREAK="raise 0 3")
    assert (first.returncode, second.returncode) == (1, 1)
    assert first.stderr.count("ValueError: it broke on rank 0") == 1
    assert "[rank 0 on " in first.stderr
    assert "ValueError" not in second.stderr
    assert "ended without a word" not in first.stderr + second.stderr


def test_a_rank_that_hangs_is_named(tmp_path: Path) -> None:
    """By the other one, once the timeout is over, though the process lives."""
    port = str(free_port())
    waited, hung = together(
        *(
            lambda rank=rank: train(
                tmp_path,
                *("--launcher", "pytorch"),
                **{**rank_variables(rank, 2), "MASTER_PORT": port},
                BREAK="hang 1 3",
                TIMEOUT="2",
            )
            for rank in (0, 1)
        )
    )
    assert (waited.returncode, hung.returncode) == (1, 1)
    told = r"error: rank 1 on \S+ ended without a word \(killed\?\), or hangs\. Rank 0 "
    assert len(re.findall(told, waited.stderr)) == 1


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on this machine")
def test_mpirun_starts_ranks(whole: Path, tmp_path: Path) -> None:
    """Open MPI's variables are enough: no MPI is loaded into the ranks."""
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    words = ("mpirun", "--oversubscribe", "-n", 2, *forked.client(), *TRAIN)
    done = command(tmp_path, *words, "--launcher", "mpi", **root, **forked.variables())
    assert_trained(tmp_path, [done], whole)


def test_two_nodes_under_torchrun(whole: Path, tmp_path: Path) -> None:
    """Two agents on one machine, each with one rank."""
    port = free_port()

    def node(number: int) -> Done:
        place = ("--nnodes", 2, "--node-rank", number, "--nproc-per-node", 1)
        meet = ("--master-addr", "127.0.0.1", "--master-port", port, "--no-python")
        words = (*TORCHRUN, *place, *meet, *forked.client(), *TRAIN)
        return command(tmp_path, *words, "--launcher", "pytorch", **forked.variables())

    assert_trained(tmp_path, together(lambda: node(0), lambda: node(1)), whole)


def test_torchrun_restarts_a_run_that_goes_on(whole: Path, tmp_path: Path) -> None:
    """A rank is killed in the second epoch; the restart resumes by itself.

    Only the machine of that rank counts a restart; both go on as one.
    """
    meet = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}")

    def node() -> Done:
        return command(
            tmp_path,
            *TORCHRUN,
            *("--nnodes", 2, "--nproc-per-node", 1, "--max-restarts", 1, *meet),
            *TRAIN,  # torchrun tells that it started it: --launcher may be left out
            BREAK="kill_once 1 5",
            OMP_NUM_THREADS="1",
        )

    done = together(node, node)
    told = "".join(one.stderr for one in done)
    assert told.count("Resumed from work/epoch_1.pth: 1 epoch and") == 1
    assert_trained(tmp_path, done, whole)


def test_a_signal_to_the_command_stops_all_ranks_once(
    whole: Path, tmp_path: Path
) -> None:
    """At one safe point, with one message; the same command goes on from there."""
    done = train(tmp_path, "--nproc", "2", BREAK="stop 0 2")
    assert done.returncode == 143, done.stderr
    assert done.stderr.count("stopped (SIGTERM) after") == 1
    assert "Traceback" not in done.stderr
    done = train(tmp_path, "--nproc", "2", "--resume")
    assert "Resumed from work/stopped_iter_" in done.stderr
    assert_trained(tmp_path, [done], whole)


@pytest.mark.parametrize(
    ("broken", "code", "said"),
    [
        ("raise 1 3", 1, "ValueError: it broke on rank 1"),
        ("raise -1 3", 1, "ValueError: it broke on rank -1"),
        ("kill 0 3", 137, r"rank 0 on \S+ failed: killed by SIGKILL"),
    ],
)
def test_what_breaks_a_run_is_told_once(
    broken: str, code: int, said: str, tmp_path: Path
) -> None:
    """By one rank, with its name and host; the others end too."""
    done = train(tmp_path, "--nproc", "2", BREAK=broken)
    assert done.returncode == code, done.stderr
    assert re.search(r"^\[rank \d on \S+\] ", done.stderr, re.MULTILINE)
    assert len(re.findall(said, done.stderr)) == 1, done.stderr
    assert done.stderr.count("[rank ") - done.stderr.count("ERROR [rank ") == 1


def test_a_mistake_is_told_once(tmp_path: Path) -> None:
    """All ranks find it, and the command ends as for one process."""
    done = train(tmp_path, "--nproc", "2", "--set", "train_cfg.max_epoch=3")
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("error:") == 1, done.stderr


def test_ranks_with_other_configs_are_found_at_the_start(tmp_path: Path) -> None:
    """Both are named, with the first line that differs, before any work."""
    port = free_port()
    done = together(
        *(
            lambda rank=rank: train(
                tmp_path,
                *(
                    "--launcher",
                    "pytorch",
                    "--set",
                    f"optim_wrapper.optimizer.lr={rank}",
                ),
                **rank_variables(rank, 2, port),
            )
            for rank in (0, 1)
        )
    )
    assert [one.returncode for one in done] == [2, 2]
    told = done[0].stderr + done[1].stderr
    assert told.count("error:") == 1
    assert re.search(r"rank 0 on \S+ and [0-9a-f]{12} on rank 1 on \S+; the", told)
    assert "lr=0" in told
    assert "lr=1" in told
    assert not (tmp_path / "work").exists()


COMPOSED = """
import torch
from torch import distributed
from engine import TrainEngine
from engine.dist import get_rank, init_dist

def step(trainer, batch):
    if get_rank() == 1 and batch == 2:
        raise ValueError("it broke here")
    distributed.all_reduce(torch.zeros(1))

init_dist("pytorch", backend="gloo")
TrainEngine(step).run([1, 2, 3])
"""


def test_a_run_composed_in_code_names_the_rank_that_failed(tmp_path: Path) -> None:
    """It is the engine that tells, with a Runner or without."""
    script = tmp_path / "composed.py"
    script.write_text(COMPOSED)
    waited, failed = run_commands(2, script, cwd=tmp_path)
    assert 0 not in (waited.returncode, failed.returncode)
    assert "ValueError: it broke here" in failed.stderr
    told = r"RankFailedError: rank 1 on \S+ failed: ValueError: it broke here\. Rank 0 "
    assert len(re.findall(told, waited.stderr)) == 1
