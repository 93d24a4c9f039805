"""Hubs by name, and the running run's."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from engine import Events, Hook, MessageHub, Runner
from engine.logging import HistoryBuffer
from engine.loops import EvalEngine
from tests.toys import echo_trainer

if TYPE_CHECKING:
    from pathlib import Path

    from engine.state import RunContext


class Asks(Hook):
    """Asks for the current hub in each iteration, and leaves a mark in it."""

    def __init__(self) -> None:
        self.found: list[MessageHub] = []

    def after_iter(
        self, runner: RunContext, batch_idx: int, *_: Any, **__: Any
    ) -> None:
        self.found.append(MessageHub.get_current_instance())


def fresh(call: Any) -> Any:
    """What ``call()`` returns in a context in which no instance was made yet."""
    return contextvars.Context().run(call)


def test_the_current_hub_is_the_running_runs() -> None:
    """In its handlers, in training and evaluation, by either way; not afterwards."""
    trainer, hook = echo_trainer(), Asks()
    trainer.add_hook(hook)
    validator = EvalEngine(lambda _, batch: batch)
    trainer.validate_with(validator, [1.0])
    trainer.run([1.0, 2.0])
    assert [hub is trainer.run_state.hub for hub in hook.found] == [True] * 3
    assert fresh(MessageHub.get_current_instance) is not trainer.run_state.hub


def test_a_model_finds_the_hub_of_the_run_that_builds_it(tmp_path: Path) -> None:
    """Also by the run's name."""
    found = []

    class Model(nn.Linear):
        def __init__(self) -> None:
            super().__init__(1, 1)
            found.append(MessageHub.get_current_instance())
            name = found[-1].name
            found.append(MessageHub.get_instance(name))
            assert MessageHub.check_instance_created(name)

    runner = Runner({"type": Model}, tmp_path)
    assert found == [runner.message_hub] * 2


def test_two_runs_in_two_threads_see_their_own() -> None:
    """Though both are in the middle of an iteration."""
    meet = threading.Barrier(2, timeout=30)
    seen: dict[int, bool] = {}

    def run(number: int) -> None:
        trainer, hook = echo_trainer(), Asks()
        trainer.add_hook(hook)

        @trainer.on(Events.ITERATION_STARTED)
        def wait() -> None:
            meet.wait()

        trainer.run([1.0, 2.0])
        seen[number] = all(hub is trainer.run_state.hub for hub in hook.found)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert seen == {0: True, 1: True}


def test_named_hubs_are_made_once() -> None:
    """The newest is the current one while nothing runs; else one called engine."""

    def ask() -> None:
        assert MessageHub.get_current_instance().name == "engine"
        mine = MessageHub.get_instance("mine", runtime_info={"a": 1})
        assert MessageHub.get_instance("mine") is mine
        assert MessageHub.get_current_instance() is mine
        assert (mine.instance_name, mine.get_info("a")) == ("mine", 1)
        assert MessageHub.check_instance_created("mine")
        assert not MessageHub.check_instance_created("other")

    fresh(ask)


def test_a_hub_from_what_it_is_to_hold() -> None:
    """Histories, facts, and which of them a checkpoint carries."""
    hub = MessageHub(
        "x",
        log_scalars={"loss": HistoryBuffer([1.0], [1]), "lr": HistoryBuffer()},
        runtime_info={"task": "t", "gone": 1},
        resumed_keys={"loss": True, "lr": False, "gone": False},
    )
    saved = hub.state_dict()
    assert (set(saved["scalars"]), saved["info"]) == ({"loss"}, {"task": "t"})
    other = MessageHub()
    other.load_state_dict(hub)
    assert other.get_scalar("loss").current() == 1.0
    with pytest.raises(TypeError, match=r"log_scalars\['a'\]: expected a Hist"):
        MessageHub(log_scalars={"a": torch.ones(1)})  # type: ignore[dict-item]
