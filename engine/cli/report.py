"""``engine report``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from engine.errors import ReportError
from engine.report import read_runs, status, write_page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.report import Run

__all__ = ["run"]

_NAME = "report.html"


def run(
    work_dirs: Sequence[Path],
    output: Path | None,
    *,
    picture: Path | None,
    verify: bool,
) -> None:
    """Write the report of some runs, and say how they went.

    Args:
        work_dirs: Theirs.
        output: The page; ``None``: ``report.html`` in the work dir, of several runs in
            the present folder, unless only a picture is asked for.
        picture: A PNG to write; ``None``: none.
        verify: Whether to verify checkpoints.

    Raises:
        ReportError: A work dir holds no run, or a file cannot be written.
    """
    if picture is not None and picture.suffix.lower() != ".png":
        message = f"--png {picture}: it writes a PNG; give a name that ends in .png"
        raise ReportError(message)
    draw = None if picture is None else _drawing()
    runs = read_runs(list(work_dirs), verify=verify)
    _tell(runs)
    if draw is not None and picture is not None:
        draw(runs, picture)
        typer.echo(f"  picture     {picture}")
        if output is None:
            return
    if output is None:
        output = work_dirs[0] / _NAME if len(runs) == 1 else Path(_NAME)
    now = datetime.now().astimezone()
    write_page(runs, output, made=now.strftime("%Y-%m-%d %H:%M:%S"))
    typer.echo(f"  report      {output}")


def _tell(runs: Sequence[Run]) -> None:
    for one in runs:
        name = f"{one.name}: " if len(runs) > 1 else ""
        typer.echo(f"{name}{status(one).text}")
        for note in one.notes:
            typer.echo(f"  note        {note}")
        for file in one.checkpoints:
            if file.good is False:
                typer.echo(f"  BAD         {file.name}: {file.reason}")


def _drawing() -> Callable[[Sequence[Run], Path], None]:
    """What draws a picture, if matplotlib is there.

    Raises:
        ReportError: It is not.
    """
    try:
        from engine.report.picture import draw
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("matplotlib"):
            raise
        message = (
            "engine report --png draws with matplotlib, which is not installed: "
            "pip install 'ignite-runner[plot]'"
        )
        raise ReportError(message) from error
    return draw
