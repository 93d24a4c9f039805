"""What a handler may see of its run."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from engine.errors import ContextError
from engine.hooks import Hook
from engine.loops import EvalEngine
from engine.state import DueKind, RunContext, RunState
from tests.runs import RunPlan, make_runner
from tests.toys import echo_trainer


def members() -> list[str]:
    """What the protocol promises by name."""
    return [
        name
        for name, value in vars(RunContext).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property))
    ]


def test_the_protocol_promises_what_hooks_use() -> None:
    """Nothing that hooks are told to use is missing."""
    promised = {"state", "message_hub", "epoch", "iter", "max_epochs", "max_iters"}
    assert promised | {"rank", "work_dir", "stop", "owe"} <= set(members())


@pytest.mark.parametrize("name", members())
def test_a_composed_run_has_all_of_it(name: str) -> None:
    """The context of a TrainEngine offers each member, before any run too."""
    assert getattr(echo_trainer().context, name) is not None


def test_a_runner_has_all_of_it(tmp_path: Path) -> None:
    """The facade satisfies the protocol."""
    runner = make_runner(RunPlan(), tmp_path)
    assert [name for name in members() if not hasattr(runner, name)] == []


def test_a_context_shows_its_run() -> None:
    """State, hub, folder, bounds and seed are the run's own."""
    trainer = echo_trainer("somewhere", seed=4)
    context = trainer.context
    trainer.run([1.0, 2.0], max_epochs=3)
    assert context.state is trainer.run_state
    assert context.message_hub is trainer.run_state.hub
    assert context.work_dir == Path("somewhere")
    assert (context.max_epochs, context.max_iters) == (3, 6)
    assert (context.epoch, context.iter) == (3, 6)
    assert (context.seed, context.rank, context.world_size) == (4, 0, 1)


def test_what_was_given_is_found_by_name() -> None:
    """A user's own facility is an attribute."""
    assert echo_trainer(tray="cups").context.tray == "cups"


@pytest.mark.parametrize("name", ["model", "optim_wrapper"])
def test_a_part_that_was_not_tracked_says_how_to(name: str) -> None:
    """The error names the part and the call that gives it."""
    part = {"model": "model", "optim_wrapper": "optimizer"}[name]
    with pytest.raises(ContextError, match=rf"no {part}: .*trainer\.track\({part}="):
        getattr(echo_trainer().context, name)


def test_what_only_a_runner_has_is_an_error_that_says_so() -> None:
    """The error names what there is and how to add to it."""
    context = echo_trainer().context
    with pytest.raises(ContextError, match=r"^runner\.cfg: .*only a Runner has is"):
        _ = context.cfg
    assert getattr(context, "cfg", None) is None  # as users ask whether it is there


def test_a_run_that_only_evaluates_cannot_be_stopped_from_inside() -> None:
    """There is no training to stop, and the error says so."""
    evaluation = EvalEngine(lambda _, batch: batch, RunState())
    with pytest.raises(ContextError, match="only evaluates, it has no trainer"):
        evaluation.context.stop("enough")


def test_owing_names_the_hook_that_asked() -> None:
    """The due carries the hook's unique name, and a stranger cannot owe."""
    trainer = echo_trainer()
    hook = Hook()
    trainer.add_hook(hook)
    trainer.context.owe(DueKind.SAVE, hook, "a.pth")
    (due,) = trainer.run_state.due
    assert (due.kind, due.owner, due.name) == (DueKind.SAVE, "Hook", "a.pth")
    with pytest.raises(TypeError, match="Hook is not registered in this run"):
        trainer.context.owe(DueKind.SAVE, Hook())
