"""``engine verify-resume``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from engine.errors import ConfigError
from engine.testing import verify_resume

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["run"]


def run(
    config: Path,
    *,
    points: int,
    iterations: int,
    workers: str | None,
    overrides: Sequence[str],
    work_dir: Path | None,
    nproc: int,
) -> bool:
    """Print what each stop and resume does; whether each is the unbroken run.

    Raises:
        ConfigError: A number is out of range, or the config cannot be run.
        EngineError: The unbroken run fails.
    """
    counts = _numbers(workers)
    # Nothing else is heard before that run is through.
    typer.echo("Training the unbroken run; each trial takes as long.", err=True)
    report = verify_resume(
        config,
        points=points,
        iterations=iterations,
        workers=counts,
        overrides=overrides,
        work_dir=work_dir,
        nproc=nproc,
        tell=typer.echo,
    )
    broken = [finding for finding in report.findings if not finding]
    if broken:
        typer.echo(f"\n{len(broken)} of {len(report.findings)} trials differ.")
    else:
        typer.echo(f"\nAll {len(report.findings)} trials are the unbroken run.")
    if work_dir is not None:
        typer.echo(f"The trials are in {work_dir}.")
    return not broken


def _numbers(text: str | None) -> list[int]:
    """``"0,2"`` as numbers."""
    if text is None:
        return []
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        message = f"--workers {text!r}: give numbers with commas between, as 0,2"
        raise ConfigError(message) from error
