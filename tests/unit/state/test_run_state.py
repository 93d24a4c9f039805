"""RunState: limits, dues, time, seed and rest."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import StateError
from engine.state import Due, DueKind, Limits, Phase, Progress, RunState


def trained(iterations: int, *, epoch_length: int = 2, **bound: int) -> RunState:
    """A state that has trained so many iterations in epochs of that length."""
    state = RunState()
    state.set_limits(**bound, epoch_length=epoch_length)
    state.move(Phase.TRAINING)
    for done in range(1, iterations + 1):
        state.progress.finish_iteration(1, epoch_length)
        if "max_epochs" in bound and done % epoch_length == 0:
            state.progress.finish_epoch()
    return state


def test_a_new_state_is_ready_with_nothing_done() -> None:
    """Nothing is done, owed or asked for."""
    state = RunState(seed=3)
    assert state.phase is Phase.READY
    assert state.progress == Progress()
    assert (state.epoch, state.iteration, state.epoch_iteration) == (0, 0, 0)
    assert (state.optimizer_steps, state.samples) == (0, 0)
    assert state.due == []
    assert state.stop_reason is None
    assert not state.started


def test_two_states_share_nothing() -> None:
    """Counters, dues and hubs are each state's own."""
    one, other = RunState(), RunState()
    one.owe(DueKind.SAVE, "hook")
    one.progress.finish_iteration(1, 1)
    one.hub.update_info("fact", 1)
    assert other.due == []
    assert other.iteration == 0
    assert other.hub.get_info("fact") is None


def test_the_seed_is_frozen() -> None:
    """Only loading a saved state replaces it."""
    state = RunState(seed=3)
    with pytest.raises(AttributeError):
        state.seed = 4
    state.load_state_dict(RunState(seed=8).state_dict())
    assert state.seed == 8


@pytest.mark.parametrize("seed", [-1, 1.5, None])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    """Anything else is refused at birth."""
    with pytest.raises((ValueError, TypeError), match="'seed'"):
        RunState(seed=seed)


def test_a_refused_move_says_where_from_where_to_and_what_is_allowed() -> None:
    """The message has all that a person needs."""
    state = trained(3, max_epochs=4)
    with pytest.raises(
        StateError,
        match=r"^cannot go from training to ready at iteration 3: allowed from here: "
        r"failed, finished, interrupted, validating\.$",
    ):
        state.move(Phase.READY)


def test_an_evaluation_goes_back_to_where_it_came_from() -> None:
    """Not to another phase that the table has."""
    state = trained(1, max_epochs=4)
    state.move(Phase.VALIDATING)
    with pytest.raises(StateError, match="it was begun from training"):
        state.move(Phase.READY)
    state.move(Phase.TRAINING)
    assert state.phase is Phase.TRAINING


def test_an_interrupted_run_goes_on_with_what_it_left() -> None:
    """Not with another phase that the table has."""
    state = trained(1, max_epochs=4)
    state.move(Phase.INTERRUPTED)
    with pytest.raises(StateError, match=r"it left training\. Go on with that first"):
        state.move(Phase.TESTING)
    state.move(Phase.TRAINING)
    assert state.left is None


@pytest.mark.parametrize("phase", [Phase.READY, Phase.FINISHED, Phase.FAILED])
def test_failing_at_rest_changes_nothing(phase: Phase) -> None:
    """Only what runs can fail."""
    state = RunState(phase=phase)
    state.fail()
    assert state.phase is phase


def test_failing_while_running_is_final() -> None:
    """After it no move is allowed."""
    state = trained(1, max_epochs=4)
    state.fail()
    with pytest.raises(StateError, match="allowed from here: none"):
        state.move(Phase.TRAINING)


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3"])
@pytest.mark.parametrize("name", ["max_epochs", "max_iters", "epoch_length"])
def test_limits_are_whole_numbers_of_at_least_1(name: str, value: Any) -> None:
    """A limit of another kind names itself and what was found."""
    with pytest.raises(StateError, match=rf"^{name}={value!r}: give a whole number"):
        Limits(**{name: value})


def test_a_run_has_one_bound() -> None:
    """Epochs or iterations, not both; and a refused limit changes nothing."""
    state = RunState()
    with pytest.raises(StateError, match="max_epochs=2 and max_iters=3: a run is"):
        state.set_limits(max_epochs=2, max_iters=3)
    assert state.limits == Limits()


def test_the_kind_of_bound_stays_once_a_run_has_begun() -> None:
    """Epochs do not become iterations half-way."""
    state = trained(1, max_epochs=4)
    with pytest.raises(StateError, match="bounded by max_epochs=4 and 1 iterations"):
        state.set_limits(max_iters=9, epoch_length=2)


def test_the_epoch_length_stays_once_a_run_has_begun() -> None:
    """Other data is another run, and the message says so."""
    state = trained(1, max_epochs=4)
    with pytest.raises(StateError, match="an epoch of this run has 2 iterations, the"):
        state.set_limits(max_epochs=4, epoch_length=3)
    assert state.limits.epoch_length == 2


def test_a_limit_below_what_is_done_is_refused() -> None:
    """A bound cannot lie in the past."""
    with pytest.raises(StateError, match="max_epochs=1: 2 epochs are done already"):
        trained(4, max_epochs=3).set_limits(max_epochs=1, epoch_length=2)
    with pytest.raises(StateError, match="max_iters=3: 4 iterations are done already"):
        trained(4, max_iters=5).set_limits(max_iters=3, epoch_length=2)


def test_a_larger_bound_lifts_an_early_stop() -> None:
    """The same bound does not."""
    state = trained(1, max_epochs=4)
    state.stop_reason, state.ended = "enough", True
    state.set_limits(max_epochs=4, epoch_length=2)
    assert not state.has_work()
    state.set_limits(max_epochs=5, epoch_length=2)
    assert state.has_work()
    assert state.stop_reason is None


def test_a_run_that_was_stopped_says_why_it_does_not_train_on() -> None:
    """The message has the reason, and what to do."""
    state = trained(1, max_epochs=4)
    state.stop_reason, state.ended = "patience ran out", True
    state.move(Phase.FINISHED)
    with pytest.raises(
        StateError, match=r"stopped early \(patience ran out\). Raise max_epochs above"
    ):
        state.move(Phase.TRAINING)


def test_dues_are_paid_in_order_whatever_the_order_of_asking() -> None:
    """A save before a validation before a save of the best; each once."""
    state = RunState()
    state.owe(DueKind.SAVE_BEST, "hook", "best.pth")
    state.owe(DueKind.SAVE, "first", "a.pth")
    state.owe(DueKind.VALIDATION, "validation")
    state.owe(DueKind.SAVE, "second", "b.pth")
    state.owe(DueKind.SAVE, "first", "a.pth")
    assert state.due == [
        Due(DueKind.SAVE, "first", "a.pth"),
        Due(DueKind.SAVE, "second", "b.pth"),
        Due(DueKind.VALIDATION, "validation"),
        Due(DueKind.SAVE_BEST, "hook", "best.pth"),
    ]


def test_time_counts_while_the_run_is_active(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting between two runs does not count; evaluating does."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    state = RunState()
    now = 107.0  # before it begins
    state.move(Phase.TRAINING)
    now = 109.0
    state.move(Phase.VALIDATING)
    now = 112.0
    state.move(Phase.TRAINING)
    assert state.state_dict()["elapsed_seconds"] == 5.0
    now = 113.0
    state.move(Phase.INTERRUPTED)
    now = 200.0
    state.move(Phase.TRAINING)
    now = 200.5
    state.move(Phase.FINISHED)
    assert state.elapsed_seconds == 6.5


def test_a_state_saved_while_training_is_loaded_as_interrupted() -> None:
    """Nothing runs in a process that just read a file."""
    state = RunState()
    state.load_state_dict(trained(1, max_epochs=4).state_dict())
    assert (state.phase, state.left) == (Phase.INTERRUPTED, Phase.TRAINING)
    state.move(Phase.TRAINING)


def test_a_state_saved_with_all_done_is_loaded_as_finished() -> None:
    """What was saved at the very end has nothing left to go on with."""
    state = RunState()
    state.load_state_dict(trained(8, max_epochs=4).state_dict())
    assert state.phase is Phase.FINISHED


def test_a_due_is_work() -> None:
    """A run with all iterations done but a validation owed is not finished."""
    saved = trained(8, max_epochs=4)
    saved.owe(DueKind.VALIDATION, "validation")
    state = RunState()
    state.load_state_dict(saved.state_dict())
    assert state.has_work()
    assert state.phase is Phase.INTERRUPTED
