"""``engine ckpt verify``, ``diff`` and ``export``."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from torch import Tensor

from engine.checkpoint import (
    Store,
    check,
    compare_checkpoints,
    find_latest_checkpoint,
    find_weights,
    read,
    split_parts,
)
from engine.errors import CheckpointError, CheckpointNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["diff", "export", "export_whole", "verify"]


def verify(paths: Sequence[Path]) -> bool:
    """Print for each file whether it is good; whether all are.

    Raises:
        CheckpointNotFoundError: A path leads nowhere, or a folder has no checkpoint.
    """
    bad = 0
    files = [one for path in paths for one in _files(path)]
    for path in files:
        try:
            typer.echo(f"{path}: good{_kind(path)}")
        except CheckpointError as error:
            bad += 1
            text = str(error)
            typer.echo(f"{path}: BAD: {text.removeprefix(f'{path}: ')}")
    for folder in (path for path in paths if path.is_dir()):
        latest = find_latest_checkpoint(folder)
        if latest is not None and not Path(latest).is_file():
            bad += 1
            typer.echo(
                f"{folder / 'last_checkpoint'}: BAD: names {Path(latest).name}, which "
                "is not there"
            )
    if len(files) > 1 or bad:
        typer.echo(f"{len(files)} files, {bad} bad")
    return bad == 0


def _files(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        if not path.exists():
            message = f"{path}: there is no such checkpoint"
            raise CheckpointNotFoundError(message)
        return [path]
    found = sorted(
        path.glob("*.pth"), key=lambda one: (one.stat().st_mtime_ns, one.name)
    )
    if not found:
        message = f"{path}: the folder holds no checkpoint (*.pth)"
        raise CheckpointNotFoundError(message)
    return found


def _kind(path: Path) -> str:
    """What more is to be said of a good file.

    Raises:
        CheckpointError: It is not good.
    """
    checkpoint = read(path)
    if isinstance(checkpoint, dict) and "engine" in checkpoint:
        meta = check(checkpoint, str(path))["meta"]
        return f": epoch {meta['epoch']}, iteration {meta['iter']}"
    find_weights(checkpoint, str(path))
    return ": weights alone, no run can be resumed from it"


def diff(one: Path, other: Path, *, limit: int) -> bool:
    """Print where two checkpoints differ; whether they do not.

    Raises:
        CheckpointError: One is not there, or cannot be read.
    """
    mine, theirs = _read(one), _read(other)
    found = list(compare_checkpoints(mine, theirs))
    for difference in islice(found, limit):
        typer.echo(str(difference))
    if len(found) > limit:
        typer.echo(f"... and {len(found) - limit} more")
    differing = {difference.part for difference in found}
    same = [part for part in split_parts(mine) if part not in differing]
    if same:
        typer.echo(f"equal: {', '.join(same)}")
    if not found:
        typer.echo("The two checkpoints hold the same run.")
    return not found


def _read(path: Path) -> Any:
    """A checkpoint; of a folder, its newest good one."""
    if not path.is_dir():
        return read(path)
    found = Store(path).newest_good()
    if found is None:
        message = f"{path}: the folder holds no checkpoint (*.pth)"
        raise CheckpointNotFoundError(message)
    return found[1]


def export(path: Path, out: Path, *, average: bool) -> None:
    """Write the weights of a checkpoint alone, as a bare ``state_dict``.

    Args:
        path: The checkpoint.
        out: The file, ``*.pth`` or ``*.pt``.
        average: Those that an ``EMAHook`` averaged; else those that are trained.

    Raises:
        CheckpointError: It holds none of that kind, or ``out`` cannot be written.
    """
    if out.suffix not in (".pth", ".pt"):
        message = f"{out}: give a file that ends in .pth or .pt"
        raise CheckpointError(message)
    checkpoint = read(path)
    weights = _weights(checkpoint, path, average=average)
    # A wrapper puts it before each name; a model may have a module of that name.
    wrapped = all(name.startswith("module.") for name in weights)
    exported = {
        # Copies of their own: a view would bring along all that it is a view of.
        name.removeprefix("module." if wrapped else ""): value.detach().clone()
        for name, value in weights.items()
        if isinstance(value, Tensor)
    }
    Store(out.parent).write(out.name, exported)
    count = sum(value.numel() for value in exported.values())
    typer.echo(f"{out}: {len(exported)} tensors, {count:,} numbers")


def export_whole(path: Path, out: Path) -> None:
    """Write all that a checkpoint holds into one file.

    Args:
        path: The checkpoint; ranks may have written it in pieces.
        out: The file, ``*.pth``.

    Raises:
        CheckpointError: It cannot be read, or ``out`` cannot be written.
    """
    if out.suffix != ".pth":
        message = f"{out}: give a file that ends in .pth"
        raise CheckpointError(message)
    Store(out.parent).write(out.name, read(path))
    typer.echo(f"{out}: {out.stat().st_size:,} bytes, all of {path}")


def _weights(checkpoint: Any, path: Path, *, average: bool) -> Mapping[str, Any]:
    weights = find_weights(checkpoint, str(path))
    beside = checkpoint.get("ema_state_dict")
    if average and beside is None:
        message = f"{path}: holds no averages: it was saved without EMAHook"
        raise CheckpointError(message)
    if average or beside is None:
        return weights  # with an EMAHook the averages stand where weights do
    return {
        name: beside[f"module.{name}"] for name in weights if f"module.{name}" in beside
    }
