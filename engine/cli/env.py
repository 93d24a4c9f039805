"""``engine env``."""

from __future__ import annotations

import typer

from engine.runner.environment import describe_environment

__all__ = ["run"]


def run() -> None:
    """Print versions and devices, one to a line."""
    for name, value in describe_environment().items():
        typer.echo(f"{name:<15} {value}")
