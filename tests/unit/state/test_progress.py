"""Counters of finished work."""

from __future__ import annotations

import pytest

from engine.state import Progress


def test_an_iteration_moves_its_counters_by_one() -> None:
    """Iterations, the place in the epoch and in the data, and samples move."""
    progress = Progress()
    progress.finish_iteration(8, pass_length=3)
    assert progress == Progress(epoch_iteration=1, iteration=1, pass_batch=1, samples=8)


def test_the_last_batch_ends_the_pass_and_not_the_epoch() -> None:
    """The epoch's end is counted by itself, when it is handled."""
    progress = Progress()
    for _ in range(3):
        progress.finish_iteration(8, pass_length=3)
    assert (progress.data_pass, progress.pass_batch) == (1, 0)
    assert (progress.epoch, progress.epoch_iteration) == (0, 3)
    progress.finish_epoch()
    assert (progress.epoch, progress.epoch_iteration) == (1, 0)
    assert progress.iteration == 3


def test_a_pass_of_unknown_length_is_ended_by_hand() -> None:
    """With length 0 no count ends the pass."""
    progress = Progress()
    for _ in range(5):
        progress.finish_iteration(1, pass_length=0)
    assert (progress.data_pass, progress.pass_batch) == (0, 5)
    progress.finish_pass()
    assert (progress.data_pass, progress.pass_batch) == (1, 0)


@pytest.mark.parametrize(
    "name",
    [
        "epoch",
        "epoch_iteration",
        "iteration",
        "data_pass",
        "pass_batch",
        "optimizer_steps",
        "samples",
    ],
)
def test_counters_are_whole_numbers_of_at_least_0(name: str) -> None:
    """A counter of another kind names itself."""
    with pytest.raises(ValueError, match=f"'{name}' must be >= 0"):
        Progress(**{name: -1})
    with pytest.raises(TypeError, match=f"'{name}' must be <class 'int'>"):
        Progress(**{name: 1.0})  # type: ignore[arg-type]  # the mistake tested
