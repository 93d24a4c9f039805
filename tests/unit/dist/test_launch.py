"""What is refused before ranks meet; meeting itself is in tests/distributed/."""

from __future__ import annotations

import socket
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
import torch

from engine.dist import init_dist, is_distributed
from engine.dist.launch import check_timeout, leave
from engine.errors import ConfigError, StateError
from tests.ranks import free_port, rank_variables


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torchrun starts one rank."""
    for name, value in rank_variables(0, 1, free_port()).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("started")
def test_one_rank_joins_and_leaves() -> None:
    """A group of one; a second one is refused."""
    init_dist("pytorch", backend=None, timeout=30)
    try:
        assert is_distributed()
        with pytest.raises(StateError, match="in a process group already"):
            init_dist("pytorch")
    finally:
        leave()
    assert not is_distributed()
    leave()  # without one it does nothing


@pytest.mark.usefixtures("started")
def test_a_port_in_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("MASTER_PORT", str(port))
        with pytest.raises(ConfigError, match=f"MASTER_PORT={port}: another program"):
            init_dist("pytorch", backend="gloo")
    assert not is_distributed()


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize(
    ("gpus", "rank", "said"),
    [
        (0, 0, "backend='nccl' needs a GPU for each rank, and rank 0 on .* sees none"),
        (2, 2, "it is number 2 there, and there are 2. Start at most 2 ranks"),
    ],
)
def test_a_rank_without_a_gpu_is_refused(
    gpus: int, rank: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For nccl, which needs one for each."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", str(rank))
    with pytest.raises(ConfigError, match=said):
        init_dist("pytorch", backend="nccl")


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize(
    ("visible", "gpus", "chosen"), [("5", 1, 0), ("0,1,2", 3, 1), (None, 3, 1)]
)
def test_each_rank_gets_its_gpu(
    visible: str | None, gpus: int, chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of its number; the only one where its launcher shows it no other."""
    found: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", found.append)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv("WORLD_SIZE", "4")
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setenv("MASTER_ADDR", "host.invalid")
    # Only what comes before the meeting is of interest.
    monkeypatch.setattr("engine.dist.launch.open_board", _stop)
    with pytest.raises(RuntimeError, match="far enough"):
        init_dist("pytorch", backend="nccl")
    assert found == [chosen]


def _stop(_: object) -> None:
    message = "far enough"
    raise RuntimeError(message)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"launcher": "none"}, "give pytorch, slurm or mpi"),
        ({"launcher": "pytorch", "backend": "ncl"}, "Did you mean 'nccl'"),
        ({"launcher": "pytorch", "init_backend": "deepspeed"}, "give 'torch'"),
        ({"launcher": "pytorch", "timeout": 0}, "a number of seconds above 0"),
    ],
)
@pytest.mark.usefixtures("started")
def test_bad_arguments(arguments: dict[str, Any], said: str) -> None:
    """Each is named."""
    with pytest.raises(ConfigError, match=said):
        init_dist(**arguments)


def test_a_timeout_is_a_time() -> None:
    """In seconds, or as a timedelta."""
    assert check_timeout(None, "x") is None
    assert check_timeout(1.5, "x") == timedelta(seconds=1.5)
    assert check_timeout(timedelta(minutes=1), "x") == timedelta(minutes=1)
    for bad in (True, "1", -1, timedelta()):
        with pytest.raises(ConfigError, match="x: timeout="):
            check_timeout(bad, "x")
