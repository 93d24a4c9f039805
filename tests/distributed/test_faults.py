"""A rank is killed wherever it may be: the others end, nothing is lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from engine.checkpoint import Store
from tests import forked

pytestmark = pytest.mark.distributed

CONFIG = Path(__file__).with_name("faulty.py")


def train(folder: Path, *words: str, **env: str) -> tuple[int, str]:
    """The command on two ranks; its exit code and what it told."""
    command = ("-m", "engine", "train", CONFIG, "--work-dir", "work", "--nproc", "2")
    done = forked.run(*command, *words, cwd=folder, env=env)
    return done.returncode, done.stdout + done.stderr


def newest(folder: Path) -> tuple[int, dict[str, torch.Tensor]]:
    """Iterations of the newest good checkpoint, and its weights."""
    found = Store(folder / "work").newest_good()
    assert found is not None
    _, checkpoint, remarks = found
    assert remarks == [], "a checkpoint was damaged"
    return checkpoint["meta"]["iter"], checkpoint["state_dict"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """Weights of the run that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    code, told = train(folder)
    assert code == 0, told
    done, weights = newest(folder)
    assert done == 8
    return weights


@pytest.mark.parametrize(
    ("where", "rank"),
    [
        ("forward", 1),
        ("collective", 1),
        ("validation", 1),
        ("save", 1),
        ("save", 0),
        ("write", 0),
    ],
)
def test_a_rank_is_killed(
    where: str, rank: int, tmp_path: Path, whole: dict[str, torch.Tensor]
) -> None:
    """The other names it and ends; what was saved stands, and a resume ends equal."""
    code, told = train(tmp_path, KILL=f"{where} {rank}")
    assert code == 137, told
    assert len(re.findall(rf"rank {rank} on \S+ failed: killed by SIGKILL", told)) == 1
    # The save of an epoch comes before its validation.
    assert newest(tmp_path)[0] == (8 if where == "validation" else 4)
    code, told = train(tmp_path, "--resume")
    assert code == 0, told
    done, weights = newest(tmp_path)
    assert done == 8
    for name, value in whole.items():
        assert torch.equal(weights[name], value), name
