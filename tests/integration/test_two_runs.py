"""Two runs in one process share nothing: in turn they are what each is alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from attrs import evolve
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from engine import Events, Hook, Phase, RunState, TrainEngine
from engine.state import RunContext, capture_randomness, restore_randomness
from tests.runs import RunPlan, make_runner, story, train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONE = RunPlan(max_epochs=2, size=9, batch_size=4, seed=1)
TWO = RunPlan(max_epochs=None, max_iters=7, size=7, batch_size=3, seed=2, accumulate=2)


class InTurns(Hook):
    """Interrupts its run after every batch."""

    def after_train_iter(self, runner: RunContext, *_: object, **__: object) -> None:
        runner.trainer.interrupt()


@pytest.mark.parametrize("workers", [0, 2])
def test_two_runners_in_turns_are_two_runners_alone(
    workers: int, tmp_path: Path
) -> None:
    """Other seeds, other bounds, one batch each in turn; and validations between."""
    plans = [evolve(plan, workers=workers) for plan in (ONE, TWO)]
    alone = [
        story(train(plan, tmp_path / f"alone{number}"))
        for number, plan in enumerate(plans)
    ]
    # The global generators are the process's: who runs two runs by turns swaps them, as
    # an operating system does for two processes. Nothing else is shared.
    runners, own = [], []
    for number, plan in enumerate(plans):
        runner = make_runner(plan, tmp_path / f"turns{number}")
        runner.register_hook(InTurns())
        runners.append(runner)
        own.append(capture_randomness())
    while any(runner.state.phase is not Phase.FINISHED for runner in runners):
        for number, runner in enumerate(runners):
            if runner.state.phase is not Phase.FINISHED:
                restore_randomness(own[number])
                runner.train()
                own[number] = capture_randomness()
    for number, runner in enumerate(runners):
        restore_randomness(own[number])
        assert story(runner) == alone[number]


def engine(seed: int) -> tuple[Callable[..., Any], TrainEngine, list[Any]]:
    """A composed trainer that draws nothing; a function that trains it; its record."""
    torch.manual_seed(seed)
    model = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters())
    data = TensorDataset(torch.randn(12, 2))
    record: list[Any] = []

    def step(trainer: TrainEngine, batch: Any) -> Any:
        optimizer.zero_grad()
        loss = model(batch[0]).square().mean()
        loss.backward()
        optimizer.step()
        record.append((trainer.run_state.iteration, loss.item()))
        return loss.detach()

    trainer = TrainEngine(step, RunState(seed=seed))
    trainer.track(model=model, optimizer=optimizer)
    loader = DataLoader(data, batch_size=3, shuffle=True)
    return (lambda: trainer.run(loader, max_epochs=2)), trainer, record


def test_a_run_inside_a_handler_of_another(tmp_path: Path) -> None:
    """One trains a batch each time the other completes one; both as if alone."""
    alone = []
    for seed in (3, 4):
        run, _, record = engine(seed)
        run()
        alone.append(record)
    run_outer, outer, outer_record = engine(3)
    run_inner, inner, inner_record = engine(4)
    inner.add_event_handler(Events.ITERATION_COMPLETED, lambda _: inner.interrupt())
    in_turn: list[int] = []

    @outer.on(Events.ITERATION_COMPLETED)
    def let_the_other_run(_: TrainEngine) -> None:
        run_inner()
        in_turn.append(inner.run_state.iteration)

    run_outer()
    if inner.run_state.phase is Phase.INTERRUPTED:
        run_inner()
    assert in_turn == list(range(1, 9))
    assert [outer_record, inner_record] == alone
    assert outer.run_state.hub is not inner.run_state.hub
    assert inner.run_state.phase is Phase.FINISHED
