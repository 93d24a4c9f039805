"""``engine train``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import typer

from engine.checkpoint import find_latest_checkpoint
from engine.cli.config_file import load_config
from engine.dist import is_main_process
from engine.errors import amount
from engine.hooks import CheckpointHook
from engine.registry import RUNNERS
from engine.runner import fast_dev_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.runner import Runner

__all__ = ["run", "show_places", "try_out"]


def run(
    config: Path,
    checkpoint: Path | None,
    *,
    work_dir: Path | None,
    resume: bool | Literal["exact"],
    overrides: Sequence[str],
    launcher: str | None = None,
    restarted: bool = False,
    progress: bool = True,
    profile_hooks: bool = False,
) -> None:
    """Train what a config describes, and say where everything lies."""
    cfg = load_config(
        config,
        overrides=overrides,
        launcher=launcher,
        work_dir=work_dir,
        progress=progress,
        profile_hooks=profile_hooks,
    )
    if checkpoint is not None:
        cfg["load_from"] = str(checkpoint)
    if resume or restarted:
        cfg["resume"] = resume or cfg.get("resume") or True
    runner: Runner = RUNNERS.build(cfg)
    runner.train()
    if runner.rank:
        return
    state = runner.state
    typer.echo(
        f"\nTrained {amount(state.epoch, 'epoch')}, "
        f"{amount(state.iteration, 'iteration')}, "
        f"{amount(state.samples, 'sample')} in {state.elapsed_seconds:.1f} s."
    )
    show_places(runner)
    latest = find_latest_checkpoint(runner.work_dir)
    if latest is not None:
        typer.echo(f"  newest      {latest}")
    _show_best(runner)


def _show_best(runner: Runner) -> None:
    """Print each metric that is watched, its best value and the checkpoint of that."""
    for hook in runner.hooks:
        if not isinstance(hook, CheckpointHook):
            continue
        for metric, score in hook.best_scores.items():
            path = hook.best_path(runner.trainer.context, metric)
            if path is not None:
                typer.echo(f"  best        {path}: {metric} {score:.4f}")


def try_out(
    config: Path,
    checkpoint: Path | None,
    *,
    batches: int,
    overrides: Sequence[str],
    modes: Sequence[str] = ("train", "val", "test"),
    launcher: str | None = None,
    progress: bool = True,
) -> None:
    """Train, validate and test on a few batches, saving nothing."""
    cfg = load_config(config, overrides=overrides, launcher=launcher, progress=progress)
    if checkpoint is not None:
        cfg["load_from"] = str(checkpoint)
    found = fast_dev_run(cfg, batches, modes)
    if not is_main_process():
        return
    several = "batch" if batches == 1 else "batches"
    typer.echo(f"\n{batches} {several} of everything went through; nothing is kept.")
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
