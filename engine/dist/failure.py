"""What a rank tells when it fails, and what it finds out when another did."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import distributed

from engine.dist.board import board_of_group
from engine.dist.context import get_world_size
from engine.errors import EngineError, RankFailedError, RunInterrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.dist.board import Board

__all__ = ["first_line", "naming_failed_ranks"]

# What gloo, nccl and the store say when the other side is gone, or too slow.
_LOST = re.compile(
    r"connection (closed|reset|refused) by peer|timed out waiting \d+ms|gloo|nccl",
    re.IGNORECASE,
)


@contextmanager
def naming_failed_ranks() -> Iterator[None]:
    """While the body runs on all ranks, a failure of one is told to the others by name.

    Raises:
        RankFailedError: A collective of this rank broke; in place of its error, which
            is the cause.
    """
    try:
        yield
    except RunInterrupted:
        raise
    except BaseException as error:
        board = board_of_group() if get_world_size() > 1 else None
        if board is None:
            raise
        if not _lost_another(error):
            lost = isinstance(error, RankFailedError)
            board.report(first_line(error), lost=lost)
            raise
        failure = _explain(board, error)
        board.report(first_line(failure), lost=True)
        raise failure from error


def first_line(error: BaseException) -> str:
    r"""An error in a line.

    >>> first_line(ValueError("it broke\nfor a reason"))
    'ValueError: it broke'
    """
    text = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _lost_another(error: BaseException) -> bool:
    """Whether an error, or what it came from, is that of a broken collective."""
    if isinstance(error, RankFailedError):
        return False
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, distributed.DistError):
            return True
        if isinstance(seen, RuntimeError) and _LOST.search(str(seen)):
            return not isinstance(seen, EngineError)
        seen = seen.__cause__ or seen.__context__
    return False


def _explain(board: Board, error: BaseException) -> RankFailedError:
    """The error of a rank that lost others, in place of what its collective raised."""
    try:
        reports, silent = board.who_failed()
        hosts = {rank: board.host_of(rank) for rank in silent}
    except RuntimeError:  # the store is gone, and so is who had it
        reports, silent = [], [0] if board.on_main else []
        hosts = dict.fromkeys(silent, "the machine of MASTER_ADDR")
    told = [f"rank {one.rank} on {one.host} failed: {one.line}" for one in reports]
    told += [
        f"rank {rank} on {host} ended without a word (killed?), or hangs"
        for rank, host in hosts.items()
    ]
    told = told or [f"the ranks lost each other: {first_line(error)}"]
    message = (
        f"{'; '.join(told)}. Rank {board.rank} on {board.host} cannot go on without"
    )
    failure = RankFailedError(message)
    failure.ranks = (*[one.rank for one in reports], *silent)
    failure.told = any(not one.killed for one in reports)
    return failure
