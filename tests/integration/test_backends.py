"""Runs that are shown by backends: what fails, what a resume shows, who draws."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from engine import Hook, Runner, TrainEngine
from engine.build import build_visualizer
from engine.config import Config
from engine.errors import ConfigError
from engine.hooks import LoggerHook
from engine.state import capture_randomness
from engine.visualization import LocalVisBackend, Visualizer
from tests.runs import RunPlan, bits, make_runner
from tests.services import DOUBLES, REAL, double

if TYPE_CHECKING:
    from collections import Counter

    from engine.state import RunContext
    from tests.services import Point

ROOT = Path(__file__).parents[2]
PLAN = RunPlan(watched=True)  # 2 epochs of 3 iterations, validated after each
TIMES = {"time", "data_time", "eta", "memory", "val/time", "val/data_time"}


class Breaks(Hook):
    """Ends the run with an error after an iteration."""

    def __init__(self, after: int) -> None:
        self.after = after

    def after_train_iter(self, runner: RunContext, *args: Any, **more: Any) -> None:
        if runner.iter + 1 == self.after:
            raise RuntimeError("the machine is needed elsewhere")


class FailsNow(LocalVisBackend):
    """Fails at some of its calls, as if a network were gone."""

    failing: tuple[int, ...] | str = ()

    def __init__(self, save_dir: Path) -> None:
        super().__init__(save_dir)
        self.calls = 0

    def add_scalars(self, *args: Any, **kwargs: Any) -> None:
        self.calls += 1
        if self.failing == "always" or self.calls - 1 in self.failing:
            raise ConnectionError("no route to host\nwith details")
        super().add_scalars(*args, **kwargs)


def without_times(points: Counter[Point]) -> dict[Point, int]:
    """Points whose values are the run's own."""
    return {one: n for one, n in points.items() if one[0] not in TIMES}


def events(runner: Runner, prefix: str = "backend_") -> list[dict[str, Any]]:
    """What the run's log says of backends."""
    (path,) = runner.log_dir.glob("*.log.jsonl")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [one for one in records if one["event"].startswith(prefix)]


def shown(*backends: Any) -> dict[str, Any]:
    """A visualizer's spec."""
    return {"vis_backends": list(backends)}


@pytest.mark.parametrize("after", [3, 4, 5])
def test_tensorboard_reads_the_unbroken_run(after: int, tmp_path: Path) -> None:
    """A run that broke down and was resumed has the unbroken one's curves.

    Its last checkpoint is older than its last points: these are written anew.
    """
    spec = shown({"type": "TensorboardVisBackend"})
    checkpoints = {"type": "CheckpointHook", "interval": 2, "by_epoch": False}
    whole = make_runner(
        PLAN, tmp_path / "whole", visualizer=spec, custom_hooks=[checkpoints]
    )
    whole.train()
    hooks = [checkpoints, Breaks(after)]
    broken = make_runner(PLAN, tmp_path / "w", visualizer=spec, custom_hooks=hooks)
    with pytest.raises(RuntimeError, match="needed elsewhere"):
        broken.train()
    assert not list((tmp_path / "w").glob(f"iter_{after}*")), "the failed one"
    resumed = make_runner(
        PLAN, tmp_path / "w", visualizer=spec, custom_hooks=[checkpoints], resume=True
    )
    resumed.train()
    assert resumed.log_dir == broken.log_dir
    read = REAL["tensorboard"].read
    expected = without_times(read(whole.log_dir / "vis_data"))
    assert without_times(read(resumed.log_dir / "vis_data")) == expected
    assert {("loss", step) for name, step, _ in expected if name == "loss"} == {
        ("loss", step) for step in range(1, 7)
    }


@pytest.mark.parametrize("name", DOUBLES)
def test_a_resumed_run_goes_on_in_the_same_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each service has one run with all points, and no run is left open."""
    service, kept = double(name, monkeypatch)
    kind = DOUBLES[name][0]
    spec = shown({"type": kind.__name__})
    broken = make_runner(
        PLAN,
        tmp_path,
        visualizer=spec,
        custom_hooks=[
            {"type": "CheckpointHook", "interval": 2, "by_epoch": False},
            Breaks(5),
        ],
    )
    with pytest.raises(RuntimeError, match="needed elsewhere"):
        broken.train()
    assert kept.open == 0
    config = Config({"a": 1})  # shown in the run that goes on
    resumed = make_runner(PLAN, tmp_path, visualizer=spec, resume=True, cfg=config)
    resumed.train()
    assert kept.open == 0
    assert len(kept.points) == 1
    assert str(kept.config["a"]) == "1"
    found = without_times(service.read(resumed.log_dir / "vis_data"))
    assert set(found.values()) == {1}
    assert {step for point, step, _ in found if point == "loss"} == set(range(1, 7))


def test_a_backend_that_fails_does_not_end_the_run(tmp_path: Path) -> None:
    """One warning; what it missed is counted, and other backends miss nothing."""
    backend = FailsNow(tmp_path / "fails")
    backend.failing = (1, 2, 4, 5)  # never three in a row
    local = LocalVisBackend(tmp_path / "local")
    visualizer = Visualizer(vis_backends=[backend, local])
    runner = make_runner(PLAN, tmp_path, visualizer=visualizer, log_level="INFO")
    runner.train()
    first, lost = events(runner)
    assert first["event"] == "backend_failed"
    assert first["level"] == "warning"
    assert first["backend"] == "FailsNow"
    assert first["call"] == "add_scalars"
    assert first["step"] == 2
    assert first["error"] == "ConnectionError: no route to host"
    assert "in add_scalars" in first["traceback"]
    assert lost["event"] == "backend_lost"
    assert lost["lost"] == 4
    lines = (tmp_path / "fails" / "scalars.json").read_text().splitlines()
    whole = (tmp_path / "local" / "scalars.json").read_text().splitlines()
    assert len(whole) == 8
    assert lines == [whole[0], whole[3], *whole[6:]]


def test_a_backend_that_keeps_failing_is_left_alone(tmp_path: Path) -> None:
    """After three times in a row; the run's log says so."""
    backend = FailsNow(tmp_path / "fails")
    backend.failing = "always"
    visualizer = Visualizer(vis_backends=backend)
    runner = make_runner(PLAN, tmp_path, visualizer=visualizer, log_level="INFO")
    runner.train()
    assert backend.calls == 3
    failed, given_up, lost = events(runner)
    assert [one["level"] for one in (failed, given_up, lost)] == [
        "warning",
        "info",
        "info",
    ]
    assert given_up["event"] == "backend_given_up"
    assert lost["lost"] == 8


def test_failures_do_not_change_training(tmp_path: Path) -> None:
    """Weights are those of a run whose backend works."""
    well = make_runner(PLAN, tmp_path / "well")
    backend = FailsNow(tmp_path / "fails")
    backend.failing = "always"
    ill = make_runner(
        PLAN, tmp_path / "ill", visualizer=Visualizer(vis_backends=backend)
    )
    states = [bits(runner.train().state_dict()) for runner in (well, ill)]
    assert states[0] == states[1]


def test_a_service_that_cannot_be_reached_ends_the_run_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any work: whoever starts a run is still there to repair it."""
    double("wandb", monkeypatch)

    def init(**options: Any) -> None:
        raise ConnectionError("api.wandb.ai: no such host")

    monkeypatch.setattr(sys.modules["wandb"], "init", init)
    runner = make_runner(PLAN, tmp_path, visualizer=shown({"type": "WandbVisBackend"}))
    with pytest.raises(ConnectionError, match="no such host") as caught:
        runner.train()
    assert caught.value.__notes__[0] == "in WandbVisBackend.start"
    assert runner.iter == 0


def test_a_composed_run_goes_on_without_its_backend(tmp_path: Path) -> None:
    """A TrainEngine's visualizer fails as a Runner's does."""
    backend = FailsNow(tmp_path / "fails")
    backend.failing = "always"
    trainer = TrainEngine(
        lambda engine, batch: {"loss": torch.ones(())},
        work_dir=tmp_path,
        facilities={"visualizer": Visualizer(vis_backends=backend)},
    )
    trainer.add_hook(LoggerHook(interval=1))
    trainer.run([0, 1, 2, 3])
    assert trainer.run_state.progress.iteration == 4
    assert backend.calls == 3


def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the run is put together, before any data is opened."""
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match=r"pip install 'ignite-runner\[wandb\]'"):
        make_runner(PLAN, tmp_path, visualizer=shown({"type": "WandbVisBackend"}))


CLIENTS = "tensorboard wandb mlflow clearml neptune aim dvclive PIL matplotlib"


def test_no_client_is_imported_before_it_is_needed() -> None:
    """Importing the engine, its backends and its registries brings none of them."""
    code = (
        "import sys, engine, engine.visualization, engine.hooks\n"
        "from engine.registry import VISBACKENDS\n"
        "assert VISBACKENDS.get('WandbVisBackend') is not None\n"
        f"print([one for one in {CLIENTS.split()!r} if one in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


KILLED = """\
import os, signal, sys
from engine.visualization import TensorboardVisBackend
backend = TensorboardVisBackend(sys.argv[1])
for step in range(3):
    backend.add_scalar("loss", step / 2, step)
print(backend.state_dict())
for step in range(3, 2000):
    backend.add_scalar("loss", -1.0, step)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_files_that_can_be_cut(tmp_path: Path) -> None:
    """TensorBoard's writer is killed while its thread writes; the rest is read."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "vis")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    backend = REAL["tensorboard"].make(tmp_path / "vis")
    backend.load_state_dict(eval(done.stdout))  # noqa: S307 - what it has printed
    backend.add_scalar("loss", 1.5, 3)
    backend.close()
    found = REAL["tensorboard"].read(tmp_path / "vis")
    assert found == {("loss", step, step / 2): 1 for step in range(4)}


def test_tensorboard_draws_nothing(tmp_path: Path) -> None:
    """It says so, and the visualizer then saves the generators' fence."""
    backend = REAL["tensorboard"].make(tmp_path)
    before = bits(capture_randomness())
    backend.start()
    backend.add_config({"a": 1})
    backend.add_scalars({"loss": 0.5}, 1)
    backend.add_image("noise", torch.zeros(4, 4, 3), 1)
    backend.state_dict()
    backend.close()
    assert backend.draws_nothing
    assert bits(capture_randomness()) == before


class Draws(LocalVisBackend):
    """Seeds torch whatever is asked of it, as it is made too."""

    draws_nothing = False

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir)
        torch.manual_seed(1337)

    def start(self) -> None:
        torch.manual_seed(1337)

    def add_scalars(self, *args: Any, **kwargs: Any) -> None:
        torch.manual_seed(1337)

    def state_dict(self) -> dict[str, Any]:
        torch.manual_seed(1337)
        return {}

    def load_state_dict(self, state_dict: Any, /) -> None:
        torch.manual_seed(1337)

    def close(self) -> None:
        torch.manual_seed(1337)


def test_a_backend_may_draw_whatever_it_is_asked(tmp_path: Path) -> None:
    """As it is made, started, told, saved, loaded and closed: nobody else sees it."""
    before = bits(capture_randomness())
    visualizer = build_visualizer(
        {"vis_backends": [{"type": Draws}]}, save_dir=tmp_path
    )
    assert bits(capture_randomness()) == before, "made"
    visualizer.start()
    visualizer.add_scalars({"loss": 0.5}, 1)
    assert bits(capture_randomness()) == before, "shown"
    state = visualizer.state_dict()
    assert bits(capture_randomness()) == before, "saved"
    visualizer.load_state_dict(state)
    assert bits(capture_randomness()) == before, "loaded"
    visualizer.close()
    assert bits(capture_randomness()) == before, "closed"


def test_a_task_that_is_opened_by_hand_seeds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ClearML seeds all generators in Task.init, also where no visualizer fences it."""
    service, _ = double("clearml", monkeypatch)
    backend = service.make(tmp_path)
    before = bits(capture_randomness())
    assert backend.experiment is not None
    backend.close()
    assert bits(capture_randomness()) == before


@pytest.mark.parametrize("name", DOUBLES)
def test_a_client_that_draws_does_not_change_training(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their clients draw names, for one; opening, showing and closing are fenced."""
    double(name, monkeypatch)
    kind = DOUBLES[name][0]
    drawing = kind.start

    def start(self: Any) -> None:
        torch.rand(3)
        drawing(self)

    monkeypatch.setattr(kind, "start", start)
    plain = make_runner(PLAN, tmp_path / "plain", visualizer=shown())
    watched = make_runner(
        PLAN, tmp_path / "watched", visualizer=shown({"type": kind.__name__})
    )
    states = [bits(runner.train().state_dict()) for runner in (plain, watched)]
    assert states[0] == states[1]
