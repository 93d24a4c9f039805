"""What a rank tells when it fails, and what it finds out when another did."""

from __future__ import annotations

import re
from contextlib import contextmanager
from traceback import format_exception
from typing import TYPE_CHECKING

from torch import distributed

from engine.dist.board import SIGN_SECONDS, board_of_group
from engine.dist.context import get_world_size
from engine.errors import EngineError, RankFailedError, RunInterrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.dist.board import Board

__all__ = ["describe_error", "naming_failed_ranks"]

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
            board.report(*describe_error(error), lost=lost)
            raise
        failure = _explain(board, error)
        board.report(str(failure), str(failure), lost=True)
        raise failure from error


def describe_error(error: BaseException, *, debug: bool = False) -> tuple[str, str]:
    """An error in a line, and as the user is to see it.

    Args:
        error: What ended a rank.
        debug: Whether the user wants to see the traceback of a mistake of theirs.
    """
    name = type(error).__name__
    line = f"{name}: {str(error).partition(chr(10))[0]}".removesuffix(": ")
    if isinstance(error, EngineError) and not debug:
        notes = [f"  {note}" for note in getattr(error, "__notes__", ())]
        return line, "\n".join([f"error: {error}", *notes])
    return line, "".join(format_exception(error)).rstrip()


def _lost_another(error: BaseException) -> bool:
    """Whether an error, or what it came from, is that of a broken collective."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, distributed.DistError):
            return True
        if isinstance(seen, RuntimeError) and _LOST.search(str(seen)):
            return not isinstance(seen, EngineError)
        seen = seen.__cause__ or seen.__context__
    return False


def _explain(board: Board, error: BaseException) -> RankFailedError:
    line = describe_error(error)[0]
    try:
        reports, silent = board.who_failed()
        if reports:
            failed = [each.rank for each in reports]
            told = "; ".join(
                f"rank {each.rank} on {each.host} failed: {each.line}"
                for each in reports
            )
        else:
            failed = silent
            told = "; ".join(
                f"rank {rank} on {board.host_of(rank)} ended without a word (killed?), "
                f"or hangs: no sign for {SIGN_SECONDS:g} s"
                for rank in silent
            )
    except RuntimeError:  # the store is gone, and so is who had it
        failed = [0] if board.own_store else []
        told = (
            "rank 0 ended without a word (killed?)"
            if board.own_store
            else "the launcher that all ranks met at is gone"
        )
    if not told:
        told = f"the ranks lost each other, though none failed: {line}"
    message = f"{told}. Rank {board.rank} on {board.host} cannot go on without"
    failure = RankFailedError(message)
    failure.ranks = tuple(failed)
    return failure
