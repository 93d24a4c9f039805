"""Visualizers by name, and the running run's."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from engine import Events, Hook, Runner, StepModel
from engine.errors import StateError
from engine.visualization import LocalVisBackend, Visualizer
from tests.toys import echo_trainer

if TYPE_CHECKING:
    from pathlib import Path

    from engine.state import RunContext


class Framed(Visualizer):
    """A subclass."""


class Asks(Hook):
    """Asks for the current visualizer, and for that of its name."""

    def __init__(self) -> None:
        self.found: list[Visualizer] = []

    def before_train(self, runner: RunContext) -> None:
        self.found.append(Visualizer.get_current_instance())
        self.found.append(Visualizer.get_instance(runner.visualizer.instance_name))


def fresh(call: Any) -> Any:
    """What ``call()`` returns in a context in which no instance was made yet."""
    return contextvars.Context().run(call)


@pytest.mark.parametrize("kind", [Visualizer, Framed])
def test_the_current_one_is_the_running_runs(
    kind: type[Visualizer], tmp_path: Path
) -> None:
    """Under its name too, which is the run's; not after the run."""
    hook = Asks()
    batch = (torch.ones(1, 1), torch.ones(1, 1))
    runner = Runner(
        StepModel(nn.Linear(1, 1), nn.functional.mse_loss),
        tmp_path,
        train_dataloader=[batch],
        custom_hooks=[hook],
        train_cfg={"max_epochs": 1},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        visualizer={"type": kind, "vis_backends": []},
        experiment_name="shown",
    )
    fresh(runner.train)
    assert hook.found == [runner.visualizer] * 2
    assert isinstance(runner.visualizer, kind)
    assert runner.visualizer.instance_name == runner.experiment_name
    with pytest.raises(StateError, match=r"no run is running .*get_instance\(name"):
        fresh(Visualizer.get_current_instance)


def test_a_composed_runs_own_is_the_current_one() -> None:
    """A TrainEngine's, and a class that it is not is told so."""
    trainer, found = echo_trainer(), []

    @trainer.on(Events.ITERATION_COMPLETED)
    def ask() -> None:
        found.append(Visualizer.get_current_instance())
        with pytest.raises(StateError, match="running run's visualizer is a Visual"):
            Framed.get_current_instance()

    fresh(lambda: trainer.run([1.0]))
    assert found == [trainer.context.visualizer]


def test_named_ones_are_made_once(tmp_path: Path) -> None:
    """Their backends may be specs; the newest is the current one while nothing runs."""

    def ask() -> None:
        spec = {"type": "LocalVisBackend"}
        folder = str(tmp_path)
        mine = Visualizer.get_instance("mine", vis_backends=[spec], save_dir=folder)
        assert Visualizer.get_instance("mine") is mine
        assert Visualizer.get_current_instance() is mine
        backend = mine.get_backend("LocalVisBackend")
        assert isinstance(backend, LocalVisBackend)
        assert backend.save_dir == tmp_path
        assert Visualizer.check_instance_created("mine")
        assert not Visualizer.check_instance_created("other")
        assert not Framed.check_instance_created("mine")
        with pytest.raises(StateError, match="newest visualizer is a Visualizer"):
            Framed.get_current_instance()

    fresh(ask)
