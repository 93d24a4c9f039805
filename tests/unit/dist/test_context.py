"""Who this process is, without a process group."""

from __future__ import annotations

from engine.dist import get_dist_info, get_rank, get_world_size, is_main_process


def test_a_process_alone_is_the_main_one_of_one() -> None:
    """Nothing has to be set up, and asking starts nothing."""
    assert (get_rank(), get_world_size()) == get_dist_info() == (0, 1)
    assert is_main_process()
