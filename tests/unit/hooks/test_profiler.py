"""What a ProfilerHook records, and where it goes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn, profiler

from engine import Runner, StepModel
from engine.errors import ConfigError
from engine.hooks import ProfilerHook
from engine.logging import close_logger
from tests.integration.test_kept_logs import Fails

if TYPE_CHECKING:
    from pathlib import Path


def train(work_dir: Path, *hooks: Any) -> Runner:
    """Train two epochs of four iterations."""
    batch = (torch.ones(2, 3), torch.ones(2, 1))
    runner = Runner(
        StepModel(nn.Linear(3, 1), nn.functional.mse_loss),
        work_dir,
        train_dataloader=[batch] * 4,
        train_cfg={"max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        default_hooks={"checkpoint": None},
        custom_hooks=list(hooks),
    )
    try:
        runner.train()
    finally:
        close_logger(runner.logger)
    return runner


def steps(trace: Path) -> int:
    """Iterations in a trace for Chrome: each has one forward of the layer."""
    events = json.loads(trace.read_text())["traceEvents"]
    return [one.get("name") for one in events].count("aten::linear")


@pytest.mark.parametrize(
    ("settings", "recorded"),
    [
        ({}, 4),
        ({"by_epoch": False, "profile_times": 2}, 2),
        ({"profile_times": 9}, 8),
        ({"schedule": {"wait": 1, "warmup": 1, "active": 2, "repeat": 1}}, 2),
    ],
)
def test_a_trace_for_chrome(
    settings: dict[str, Any], recorded: int, tmp_path: Path
) -> None:
    """Of so many epochs or iterations, or as the schedule says."""
    path = tmp_path / "deep" / "trace.json"
    train(tmp_path / "run", ProfilerHook(json_trace_path=path, **settings))
    assert steps(path) == recorded


def test_a_table_in_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the arguments of torch's table."""
    ready = {"type": "log_trace", "row_limit": 3}
    train(tmp_path, ProfilerHook(on_trace_ready=ready, profile_memory=True))
    shown = capsys.readouterr().err
    assert "Self CPU time total" in shown
    assert "CPU Mem" in shown


def test_a_trace_for_tensorboard_and_for_chrome(tmp_path: Path) -> None:
    """In the log folder; the other file is the same."""
    path = tmp_path / "trace.json"
    ready = {"type": "tb_trace", "worker_name": "me"}
    hook = ProfilerHook(on_trace_ready=ready, json_trace_path=path)
    runner = train(tmp_path / "run", hook)
    (trace,) = (runner.log_dir / "tf_tracing_logs").iterdir()
    assert trace.name.startswith("me.")
    assert trace.name.endswith(".pt.trace.json")
    assert trace.read_bytes() == path.read_bytes()


def test_a_function_of_the_users_and_an_error(tmp_path: Path) -> None:
    """It gets the profiler, also when the run fails: the profiler is stopped."""
    found: list[int] = []

    def ready(one: profiler.profile) -> None:
        found.append(len(one.key_averages()))

    with pytest.raises(ValueError, match="no good"):
        train(
            tmp_path,
            Fails(ValueError("no good")),
            ProfilerHook(on_trace_ready=ready),
        )
    assert found
    assert found[0] > 0
    with profiler.profile():  # torch has one at a time: it was stopped
        torch.ones(1)


def test_a_schedule_that_never_begins_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, at the end; the run goes on."""
    late = {"wait": 100, "warmup": 1, "active": 1}
    path = tmp_path / "trace.json"
    train(tmp_path / "run", ProfilerHook(schedule=late, json_trace_path=path))
    assert "recorded nothing" in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"profile_times": 0}, "profile_times=0: give a whole number"),
        ({"activity_with_cpu": False}, "both off"),
        ({"schedule": {"wait": 1}}, "schedule={'wait': 1}:"),
        ({"on_trace_ready": {"type": "x"}}, "'log_trace' or 'tb_trace'"),
        ({"by_epoch": "no"}, "by_epoch='no'"),
    ],
)
def test_bad_settings(settings: dict[str, Any], said: str) -> None:
    """Each is named."""
    with pytest.raises(ConfigError, match=said):
        ProfilerHook(**settings)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_that_is_not_there_is_refused() -> None:
    """Instead of an empty record."""
    with pytest.raises(ConfigError, match="finds no CUDA device"):
        ProfilerHook(activity_with_cuda=True)
