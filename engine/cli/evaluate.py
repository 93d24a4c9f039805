"""``engine validate`` and ``engine test``."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any, Literal

import typer

from engine.checkpoint import Location, Store
from engine.cli.config_file import load_config
from engine.cli.train import show_places
from engine.errors import CheckpointNotFoundError
from engine.registry import RUNNERS
from engine.runner.folders import as_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.runner import Runner

__all__ = ["run", "show_metrics"]


def run(
    mode: Literal["val", "test"],
    config: Path,
    checkpoint: Path | None,
    *,
    work_dir: Path | None,
    overrides: Sequence[str],
    launcher: str | None = None,
    progress: bool = True,
) -> None:
    """Validate or test a trained model and print the metrics."""
    cfg = load_config(
        config,
        overrides=overrides,
        work_dir=work_dir,
        launcher=launcher,
        progress=progress,
    )
    cfg["resume"] = False
    if checkpoint is not None:
        cfg["load_from"] = str(checkpoint)
    elif cfg.get("load_from") is None:
        cfg["load_from"] = str(
            _newest(as_path("work_dir", cfg["work_dir"], "a folder"), mode)
        )
    runner: Runner = RUNNERS.build(cfg)
    metrics = runner.val() if mode == "val" else runner.test()
    if runner.rank:
        return
    done = "Validated" if mode == "val" else "Tested"
    typer.echo(f"\n{done} {cfg['load_from']}:")
    show_metrics(metrics)
    show_places(runner)


def show_metrics(metrics: Mapping[str, Any]) -> None:
    """Print metrics, one to a line; a table below its name."""
    width = max([11, *map(len, metrics)])
    for name, value in metrics.items():
        shown = f"{value:.4f}" if isinstance(value, float) else str(value)
        if "\n" in shown:
            shown = "\n" + indent(shown, "    ")
        typer.echo(f"  {name:<{width}} {shown}")


def _newest(work_dir: Path, mode: str) -> Location:
    found = Store(work_dir).newest_good() if work_dir.is_dir() else None
    if found is None:
        command = "validate" if mode == "val" else "test"
        message = (
            f"{work_dir} holds no checkpoint to {command}: train first, or name one: "
            f"engine {command} CONFIG CHECKPOINT"
        )
        raise CheckpointNotFoundError(message)
    return found[0]
