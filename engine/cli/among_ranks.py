"""A command on one of several ranks: each error reaches the user once."""

from __future__ import annotations

import os
import signal
import warnings
from contextlib import contextmanager
from traceback import format_exception
from typing import TYPE_CHECKING, Any

import typer
from attrs import frozen

from engine.errors import EngineError, RankFailedError, RunInterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.dist.board import Board

__all__ = ["Start", "among_ranks"]


@frozen
class Start:
    """How a command's process was started.

    Args:
        launcher: By whom; ``None``: by nobody who starts several.
        restarted: Whether it was started anew, after some rank had failed.
    """

    launcher: str | None
    restarted: bool


@contextmanager
def among_ranks(
    launcher: str | None, *, debug: bool, exit_code: Callable[[EngineError], int]
) -> Iterator[Start]:
    """Run the body as one of the ranks that a launcher started; leave them at its end.

    Args:
        launcher: Who started this process; ``None``: nobody, or torchrun if it says so
            in the environment.
        debug: Whether tracebacks of a user's mistakes are shown.
        exit_code: Of an error of ours.

    Yields:
        How this process was started, the same on all ranks.

    Raises:
        ConfigError: The launcher's variables are missing, or the ranks cannot meet.
        typer.Exit: The body failed; the user was told.
    """
    # Several ranks that do not know of each other would write to one folder.
    if launcher is None and _is_by_torchrun():
        launcher = "pytorch"
    from engine.dist.board import open_board
    from engine.dist.failure import first_line, naming_failed_ranks
    from engine.dist.launch import break_off, leave
    from engine.dist.meeting import restarts
    from engine.dist.place import check_launcher, read_place

    if launcher is None or launcher == "none":
        yield Start(launcher, restarts() > 0)
        return
    place = read_place(check_launcher(launcher), os.environ)
    board = open_board(place)
    try:
        with naming_failed_ranks(), _warning_once(board):
            yield Start(launcher, board.meeting.restarted)
        leave()
    except RunInterrupted as error:  # all agreed on it, and rank 0 tells
        if board.rank == 0:
            typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error
    except BaseException as error:
        line = first_line(error)
        lost = isinstance(error, RankFailedError)
        board.report(line, lost=lost)
        told = _is_told(board, error)
        if not told:
            _tell(board, error, debug=debug)
        break_off()
        board.stay()
        if isinstance(error, KeyboardInterrupt):
            code = 128 + signal.SIGINT
        else:
            code = exit_code(error) if isinstance(error, EngineError) else 1
        raise typer.Exit(code) from error


@contextmanager
def _warning_once(board: Board) -> Iterator[None]:
    """Let what all ranks warn of by ``warnings.warn`` be shown by one of them."""
    show = warnings.showwarning

    def show_first(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        *rest: Any,
    ) -> None:
        if board.is_first(f"{filename}:{lineno}: {message}"):
            show(message, category, filename, lineno, *rest)

    warnings.showwarning = show_first  # type: ignore[assignment]  # rest: file and line
    try:
        yield
    finally:
        warnings.showwarning = show


def _is_told(board: Board, error: BaseException) -> bool:
    """Whether the user hears of this from another rank."""
    if not isinstance(error, RankFailedError):
        return not board.is_first(f"error: {error}")
    # Who failed with an error tells it; who was killed cannot.
    return error.told or not board.is_first("a rank is lost")


def _tell(board: Board, error: BaseException, *, debug: bool) -> None:
    where = f"[rank {board.rank} on {board.host}] "
    if isinstance(error, EngineError) and not debug:
        typer.echo(f"{where}error: {error}", err=True)
    elif isinstance(error, KeyboardInterrupt):
        typer.echo(f"{where}interrupted", err=True)
    else:
        text = "".join(format_exception(error)).rstrip()
        typer.echo(f"{where}failed:\n{text}", err=True)
        return  # which has the notes
    for note in getattr(error, "__notes__", ()):
        typer.echo(f"  {note}", err=True)


def _is_by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE") != "1"
