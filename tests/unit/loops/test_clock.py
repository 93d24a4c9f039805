"""The counters as Ignite and MMEngine see them."""

from __future__ import annotations

from ignite.engine import Engine

from engine.loops import Clock
from engine.state import RunState


def clock(*, done: int = 0, in_epoch: int = 0, epochs: int = 0, **limits: int) -> Clock:
    """A clock of a run that is somewhere."""
    state = RunState(seed=0)
    state.set_limits(**limits)
    state.progress.iteration = done
    state.progress.epoch_iteration = in_epoch
    state.progress.epoch = epochs
    return Clock(state)


def test_a_run_by_epochs_is_as_ignite_sees_it() -> None:
    """So many epochs of that length."""
    found = clock(max_epochs=3, epoch_length=5)
    assert (found.max_epochs, found.epoch_length) == (3, 5)


def test_a_run_by_iterations_is_one_long_epoch() -> None:
    """Whatever the data's length."""
    found = clock(max_iters=12, epoch_length=5)
    assert (found.max_epochs, found.epoch_length) == (1, 12)


def test_iter_and_epoch_name_what_is_in_progress() -> None:
    """Those that just closed still count as in progress for their handlers."""
    found = clock(done=7, epochs=2, max_epochs=3)
    assert (found.iter, found.epoch) == (7, 2)
    found.closing_iteration = found.closing_epoch = 1
    assert (found.iter, found.epoch) == (6, 1)


def test_a_trainer_begins_where_the_state_is() -> None:
    """Ignite's counters, and the place in the epoch that its loop begins at."""
    trainer = Engine(lambda _, batch: batch)
    clock(done=7, in_epoch=2, epochs=1, max_epochs=3, epoch_length=5).set_counters(
        trainer
    )
    state = trainer.state
    assert (state.iteration, state.epoch) == (7, 1)
    assert (state.epoch_length, state.max_epochs, state.max_iters) == (5, 3, None)
    assert trainer._init_iter == 2


def test_a_full_epoch_is_skipped() -> None:
    """Saved after its last iteration, before its end: the next one begins."""
    found = clock(done=5, in_epoch=5, max_epochs=3, epoch_length=5)
    assert found.epoch_is_over
    trainer = Engine(lambda _, batch: batch)
    found.set_counters(trainer)
    found.skip_epoch(trainer)
    assert (trainer.state.epoch, trainer._init_iter) == (1, 0)


def test_an_evaluation_is_one_epoch_from_zero() -> None:
    """Of the length given, or of one that is not known."""
    evaluator = Engine(lambda _, batch: batch)
    evaluator.state.iteration = 99
    clock(done=7, max_epochs=3).set_evaluation(evaluator, 4)
    state = evaluator.state
    assert (state.iteration, state.epoch, state.epoch_length, state.max_epochs) == (
        0,
        0,
        4,
        1,
    )
