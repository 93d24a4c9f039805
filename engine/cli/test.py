"""``engine test``."""

from __future__ import annotations

from pathlib import Path

import typer

from engine.checkpoint import Store
from engine.cli.config_file import load_config
from engine.cli.train import show_places
from engine.errors import CheckpointNotFoundError
from engine.runner import Runner

__all__ = ["run"]


def run(config: Path, checkpoint: Path | None, *, work_dir: Path | None) -> None:
    """Test a trained model and print the metrics."""
    cfg = load_config(config, work_dir=work_dir)
    cfg["resume"] = False
    if checkpoint is not None:
        cfg["load_from"] = checkpoint
    elif cfg.get("load_from") is None:
        cfg["load_from"] = _newest(Path(cfg["work_dir"]))
    runner = Runner.from_cfg(cfg)
    metrics = runner.test()
    typer.echo(f"\nTested {cfg['load_from']}:")
    for name, value in metrics.items():
        shown = f"{value:.4f}" if isinstance(value, float) else str(value)
        typer.echo(f"  {name:<11} {shown}")
    show_places(runner)


def _newest(work_dir: Path) -> Path:
    found = Store(work_dir).newest_good() if work_dir.is_dir() else None
    if found is None:
        message = (
            f"{work_dir} holds no checkpoint to test: train first, or name one: "
            "engine test CONFIG CHECKPOINT"
        )
        raise CheckpointNotFoundError(message)
    return found[0]
