"""``engine config show`` and ``engine config diff``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from engine.cli.config_file import read_config
from engine.config import Config

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["diff", "show"]


def show(path: Path, *, overrides: Sequence[str]) -> None:
    """Print a config as Python that loads back to the same config."""
    typer.echo(read_config(path, overrides).pretty_text, nl=False)


def diff(first: Path, second: Path) -> None:
    """Print what differs between two configs."""
    text = Config.diff(Config.fromfile(first), Config.fromfile(second))
    typer.echo(text or "The two configs are the same.")
