"""Where the windows of gradient accumulation lie."""

from __future__ import annotations

import pytest

from engine.optim.accumulation import ends_window, optimizer_steps, window_length


@pytest.mark.parametrize(
    ("counts", "max_iters", "ends", "lengths"),
    [
        (1, 4, [0, 1, 2, 3], [1, 1, 1, 1]),
        (2, 4, [1, 3], [2, 2, 2, 2]),
        (3, 5, [2, 4], [3, 3, 3, 2, 2]),
        (4, 3, [2], [3, 3, 3]),
        (3, 4, [2, 3], [3, 3, 3, 1]),
    ],
)
def test_windows_of_a_run(
    counts: int, max_iters: int, ends: list[int], lengths: list[int]
) -> None:
    """Full windows, then one of what is left, divided by its own length."""
    run = range(max_iters)
    assert [
        i for i in run if ends_window(i, counts=counts, max_iters=max_iters)
    ] == ends
    assert [
        window_length(i, counts=counts, max_iters=max_iters) for i in run
    ] == lengths
    assert optimizer_steps(max_iters, counts=counts, max_iters=max_iters) == len(ends)


def test_every_window_is_full_while_the_length_is_unknown() -> None:
    """Without a last iteration there is no remainder."""
    assert [i for i in range(7) if ends_window(i, counts=3)] == [2, 5]
    assert {window_length(i, counts=3) for i in range(7)} == {3}
    assert optimizer_steps(7, counts=3) == 2


def test_windows_start_anew_past_the_end() -> None:
    """More iterations than were announced make full windows from there on."""
    ends = [i for i in range(12) if ends_window(i, counts=3, max_iters=5)]
    assert ends == [2, 4, 7, 10]
    assert window_length(5, counts=3, max_iters=5) == 3
    assert optimizer_steps(11, counts=3, max_iters=5) == 4
