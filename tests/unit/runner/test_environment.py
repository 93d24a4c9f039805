"""The process that a run is in."""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import Any

import pytest
import torch

from engine.errors import ConfigError
from engine.runner.environment import check_env_cfg, describe_environment


def test_defaults() -> None:
    """Without settings a run has these."""
    assert check_env_cfg(None) == {
        "cudnn_benchmark": False,
        "mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0},
        "dist_cfg": {"backend": None, "timeout": None},
        "resource_limit": 4096,
        "handle_signals": True,
        "max_seconds": None,
    }


def test_a_part_of_a_group_keeps_the_rest() -> None:
    """The other keys of the group have their defaults."""
    checked = check_env_cfg({"mp_cfg": {"mp_start_method": "spawn"}})
    assert checked["mp_cfg"] == {"mp_start_method": "spawn", "opencv_num_threads": 0}


@pytest.mark.parametrize(
    ("env_cfg", "said"),
    [
        ({"cudnn": True}, "env_cfg: unknown key 'cudnn'.*It takes cudnn_benchmark"),
        ({"mp_cfg": {"start": 1}}, "env_cfg.mp_cfg: unknown key 'start'"),
        ({"mp_cfg": {"mp_start_method": "frok"}}, "this system has fork, spawn"),
        ({"resource_limit": "many"}, "resource_limit='many': give a number"),
        (3, "env_cfg: expected a mapping, found 3"),
    ],
)
def test_bad_settings(env_cfg: Any, said: str) -> None:
    """Each is named."""
    with pytest.raises(ConfigError, match=said):
        check_env_cfg(env_cfg)


def test_the_settings_of_a_process_are_made() -> None:
    """In a process of its own, for they stay."""
    program = """
import multiprocessing, os, resource, torch
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
from engine.runner.environment import check_env_cfg, set_up
settings = {"cudnn_benchmark": True, "mp_cfg": {"mp_start_method": "spawn"}}
set_up(check_env_cfg(settings), workers=True, deterministic=False)
print(torch.backends.cudnn.benchmark, multiprocessing.get_start_method())
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(4096, hard))
print(os.environ["OMP_NUM_THREADS"])
set_up(check_env_cfg({"resource_limit": 8}), workers=False, deterministic=True)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(4096, hard))
"""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert hard > 256
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "spawn", "True", "1", "True"]


def test_the_environment_names_versions_and_devices() -> None:
    """What a bug report needs."""
    facts = describe_environment()
    assert facts["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert set(facts) >= {"engine", "python", "platform", "threads", "cuda", "devices"}
