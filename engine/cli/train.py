"""``engine train``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import typer

from engine.checkpoint import find_latest_checkpoint
from engine.cli.config_file import load_config
from engine.runner import Runner, fast_dev_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["run", "show_places", "try_out"]


def run(
    config: Path,
    checkpoint: Path | None,
    *,
    work_dir: Path | None,
    resume: bool | Literal["exact"],
    overrides: Sequence[str],
) -> None:
    """Train what a config describes, and say where everything lies."""
    cfg = load_config(config, overrides=overrides, work_dir=work_dir)
    if checkpoint is not None:
        cfg["load_from"] = str(checkpoint)
    if resume:
        cfg["resume"] = resume
    runner = Runner.from_cfg(cfg)
    runner.train()
    state = runner.state
    typer.echo(
        f"\nTrained {state.epoch} epochs, {state.iteration} iterations, "
        f"{state.samples} samples in {state.elapsed_seconds:.1f} s."
    )
    show_places(runner)
    latest = find_latest_checkpoint(runner.work_dir)
    if latest is not None:
        typer.echo(f"  newest      {latest}")


def try_out(
    config: Path,
    *,
    batches: int,
    overrides: Sequence[str],
    modes: Sequence[str] = ("train", "val", "test"),
) -> None:
    """Train, validate and test on a few batches, saving nothing."""
    cfg = load_config(config, overrides=overrides)
    found = fast_dev_run(cfg, batches, modes)
    typer.echo(f"\n{batches} batches of everything went through; nothing is kept.")
    for mode, metrics in found.items():
        shown = ", ".join(f"{name} {value}" for name, value in metrics.items())
        typer.echo(f"  {mode:<11} {shown}")


def show_places(runner: Runner) -> None:
    """Print where a run's files lie."""
    log = runner.log_dir / f"{runner.log_dir.name}.log.jsonl"
    for name, path in (
        ("checkpoints", runner.work_dir),
        ("log", log),
        ("metrics", runner.log_dir / "vis_data" / "scalars.json"),
    ):
        if path.exists():
            typer.echo(f"  {name:<11} {path}")
