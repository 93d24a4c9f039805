"""``engine diff-runs``."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import typer

from engine.checkpoint import find_differences
from engine.errors import CheckpointNotFoundError
from engine.state import find_parting
from engine.testing.records import read_ledgers, read_scalars

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["run"]

_SHOWN = 5  # values that differ in the first line that does


def run(one: Path, other: Path) -> bool:
    """Print where two runs part; whether they never do.

    Ledgers tell the iteration; without them, the lines of the metrics files do.

    Raises:
        CheckpointNotFoundError: A work dir is not there, or has neither.
        SerializationError: A file is damaged.
    """
    mine, theirs = read_ledgers(one), read_ledgers(other)
    shared = [name for name in mine if name in theirs]
    for name in shared:
        parting = find_parting(mine[name], theirs[name])
        rank = "" if name == "ledger.bin" else f" ({name})"
        if parting is not None:
            typer.echo(f"The runs part in {parting}{rank}.")
            if parting.parts == ("records",):
                only = one if parting.iteration in mine[name]["iteration"] else other
                typer.echo(f"Only {only} has it; before, they are equal.")
            return False
        typer.echo(f"{len(mine[name])} iterations are equal{rank}.")
    if not shared:
        missing = [str(path) for path, had in ((one, mine), (other, theirs)) if not had]
        typer.echo(
            f"No ledger in {', '.join(missing)}: the metrics files are compared. For a "
            "record of each iteration: custom_hooks=[dict(type='LedgerHook')]"
        )
    return _lines_are_equal(one, other, needed=not shared)


def _lines_are_equal(one: Path, other: Path, *, needed: bool) -> bool:
    mine, theirs = read_scalars(one), read_scalars(other)
    for path, lines in ((one, mine), (other, theirs)):
        if needed and not lines:
            message = (
                f"{path}: holds neither a ledger nor a metrics file "
                "(TIME/vis_data/scalars.json): is it a run's work dir?"
            )
            raise CheckpointNotFoundError(message)
    if not mine or not theirs:
        return True
    for place in {**mine, **theirs}:
        if place not in mine or place not in theirs:
            only = one if place in mine else other
            typer.echo(f"The metrics part at {place}: only {only} has that line.")
            return False
        found = list(find_differences(mine[place], theirs[place], part=""))
        if found:
            typer.echo(f"The metrics part at {place}:")
            for difference in islice(found, _SHOWN):
                typer.echo(f"  {difference}")
            return False
    typer.echo(f"{len(mine)} lines of metrics are equal.")
    return True
