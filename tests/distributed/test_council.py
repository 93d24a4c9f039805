"""What one rank is asked for, all ranks heed at the same safe point."""

from __future__ import annotations

import os
import random
import signal
from typing import TYPE_CHECKING, Any

import pytest

from engine import Events, RunState, TrainEngine
from engine.dist import get_dist_info
from engine.errors import RunInterrupted, StateError
from engine.loops import EvalEngine
from tests.ranks import run_ranks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.distributed

WORLD = 2
ASKS: dict[str, Callable[[Any], None]] = {
    "stop": lambda trainer: trainer.stop("enough"),
    "terminate": lambda trainer: trainer.terminate(),
    "terminate_skip": lambda trainer: trainer.terminate(skip_completed=True),
    "end_epoch": lambda trainer: trainer.terminate_epoch(),
    "end_epoch_skip": lambda trainer: trainer.terminate_epoch(True),
    "interrupt": lambda trainer: trainer.interrupt(),
}
Plan = tuple[int, str, tuple[int, ...]]  # iteration, what, ranks that ask


def plans(count: int) -> list[list[Plan]]:
    """One to three asks in each run."""
    chance = random.Random(7)
    return [
        [
            (
                chance.randint(1, 9),
                chance.choice([*ASKS]),
                chance.choice([(0,), (1,), (0, 1)]),
            )
            for _ in range(chance.randint(1, 3))
        ]
        for _ in range(count)
    ]


def trace(plan: list[Plan], rank: int) -> list[Any]:
    """The events of one run, and where it ended; interrupted, it goes on."""
    seen: list[Any] = []
    trainer = TrainEngine(lambda *_: None)
    for event in ("ITERATION_COMPLETED", "EPOCH_COMPLETED", "COMPLETED", "INTERRUPT"):
        trainer.add_event_handler(
            Events[event],
            lambda event=event: seen.append((event, trainer.run_state.iteration)),
        )

    def ask() -> None:
        for iteration, what, ranks in plan:
            if iteration == trainer.run_state.iteration and rank in ranks:
                ASKS[what](trainer)

    trainer.add_event_handler(Events.ITERATION_COMPLETED, ask)
    trainer.run([1, 2, 3], max_epochs=3)
    while trainer.run_state.phase.value == "interrupted":
        trainer.run()
    state = trainer.run_state
    return [*seen, state.phase.value, state.iteration, state.epoch]


def traces() -> list[list[Any]]:
    """On a rank: all runs."""
    return [trace(plan, get_dist_info()[0]) for plan in plans(60)]


def test_ranks_heed_at_one_place_whoever_was_asked() -> None:
    """All asked: as in a process alone. Some asked: all of them, a safe point later."""
    one, other = run_ranks(traces, WORLD)
    assert one == other
    for plan, found in zip(plans(60), one, strict=True):
        if all(len(ranks) == WORLD for _, _, ranks in plan):
            assert found == trace(plan, 0), plan


def asked_late() -> list[tuple[list[Any], list[Any]]]:
    """On a rank: rank 0 is asked, and rank 1 too, before it has heard of that."""
    rank, _ = get_dist_info()
    return [
        (
            trace([(1, what, (0,))], rank),
            trace([(1, what, (0,)), (2, what, (1,))], rank),
        )
        for what in ASKS
    ]


def test_who_asks_while_another_is_heard_asks_for_the_same() -> None:
    """One epoch is ended, not two."""
    for found in run_ranks(asked_late, WORLD):
        for what, (one, both) in zip(ASKS, found, strict=True):
            assert one == both, what


def signalled(folder: Path, number: int, inside: str) -> list[Any]:
    """Rank 1 gets a signal; where each rank ends, and what it raises."""
    rank, _ = get_dist_info()
    trainer = TrainEngine(lambda *_: None, work_dir=folder)
    batches = []
    validator = EvalEngine(lambda *_: batches.append(trainer.run_state.iteration))

    def send() -> None:
        if rank == 1 and trainer.run_state.iteration == 2:
            os.kill(os.getpid(), number)

    trainer.validate_with(validator, range(10 + rank), by_epoch=False, interval=2)
    engine, count = (trainer, 2) if inside == "training" else (validator, 3)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=count), send)
    try:
        trainer.run(range(8))
    except RunInterrupted as error:
        return [trainer.run_state.iteration, len(batches), error.signal]
    return [trainer.run_state.iteration, len(batches), None]


# In training it comes before the validation that is due; rank 0 hears of it there.
@pytest.mark.parametrize(("inside", "batches"), [("training", 1), ("a validation", 4)])
def test_a_signal_to_one_rank_ends_all_of_them(
    tmp_path: Path, inside: str, batches: int
) -> None:
    """At the same place, with the same signal; a validation is left in its middle."""
    found = run_ranks(signalled, WORLD, tmp_path, int(signal.SIGTERM), inside)
    assert found == [[2, batches, signal.SIGTERM]] * WORLD


def seeds(given: bool) -> list[Any]:
    """The seed of a run on this rank, drawn or given."""
    state = RunState(seed=get_dist_info()[0]) if given else None
    trainer = TrainEngine(lambda *_: None, state)
    try:
        trainer.run([1, 2])
    except StateError as error:
        return [str(error)]
    return [trainer.run_state.seed]


def test_a_run_has_one_seed() -> None:
    """That which rank 0 has drawn; given ones must be the same."""
    one, other = run_ranks(seeds, WORLD, False)
    assert one == other
    for (told,) in run_ranks(seeds, WORLD, True):
        assert "the ranks have the seeds [0, 1]" in told


def uneven() -> list[Any]:
    """An evaluation of more batches on one rank than on the other."""
    rank, _ = get_dist_info()
    seen: list[int] = []
    validator = EvalEngine(lambda _, batch: seen.append(batch))
    validator.run(range(3 + 4 * rank))
    validator.run(iter(range(5 - 4 * rank)))
    return seen


def test_an_evaluation_of_uneven_length_ends() -> None:
    """The rank with fewer batches waits for the others, whichever it is."""
    assert run_ranks(uneven, WORLD) == [[0, 1, 2, 0, 1, 2, 3, 4], [*range(7), 0]]
