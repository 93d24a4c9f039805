"""``engine ckpt show``: nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from engine.cli.checkpoint_index import (
    CheckpointIndex,
    TensorStub,
    read_index,
    tensors,
)
from engine.units import size_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["describe", "run"]

_PARTS_OF_OURS = ("hooks", "parts")
_SHOWN = 60  # characters of a value on a line


def run(path: Path, *, list_tensors: bool) -> None:
    """Print what a checkpoint file holds."""
    index = read_index(path)
    typer.echo(str(path))
    for line in describe(index):
        typer.echo(f"  {line}".rstrip())
    if list_tensors:
        typer.echo("\n  tensors")
        for name, stub in tensors(index.tree):
            typer.echo(f"    {name:<50} {stub.dtype:<9} {list(stub.shape)}")


def describe(index: CheckpointIndex) -> Iterator[str]:
    """Lines about a file, for people.

    Args:
        index: What the file holds.
    """
    tree = index.tree
    stubs = list(tensors(tree))
    yield _row("size", f"{size_text(index.size_bytes)}, {len(stubs)} tensors")
    if index.foreign:
        yield _row(
            "foreign",
            f"objects that are never unpickled: {', '.join(index.foreign)}",
        )
    if not isinstance(tree, Mapping):
        yield _row("holds", type(tree).__name__)
        return
    yield from _facts(tree)
    yield from _shards(tree)
    yield ""
    yield "parts"
    for name, value in _parts(tree):
        yield f"  {name:<24} {_describe_part(value)}"


def _facts(tree: Mapping[Any, Any]) -> Iterator[str]:
    meta = _mapping(tree.get("meta"))
    ours = _mapping(tree.get("engine"))
    progress = _mapping(_mapping(ours.get("run_state")).get("progress"))
    if not ours:
        kind = "MMEngine's or another trainer's" if meta else "weights alone"
        yield _row("written by", f"{kind}: no run of ours can be resumed from it")
    place = [
        f"{name.replace('_', ' ')} {value}"
        for name, value in (
            ("epoch", meta.get("epoch")),
            ("iteration", meta.get("iter")),
            ("optimizer_steps", progress.get("optimizer_steps")),
            ("samples", progress.get("samples")),
        )
        if value is not None
    ]
    if place:
        yield _row("place", ", ".join(place))
    for key, value in meta.items():
        if key not in ("epoch", "iter", "cfg") and value not in ("", None):
            yield _row(key, _short(value))
    if meta.get("cfg"):
        yield _row("cfg", f"{len(str(meta['cfg']).splitlines())} lines")
    if ours:
        yield _row("format", _short(ours.get("format")))
        yield _row("at safe point", "yes" if ours.get("at_safe_point") else "no")
        pairs = _mapping(ours.get("environment")).items()
        yield _row("environment", ", ".join(f"{key} {value}" for key, value in pairs))


def _shards(tree: Mapping[Any, Any]) -> Iterator[str]:
    """What ranks wrote in pieces, into a folder beside the file."""
    shards = _mapping(tree.get("shards"))
    files = _mapping(shards.get("files"))
    if files:
        size = size_text(
            sum(_mapping(one).get("size_bytes", 0) for one in files.values())
        )
        count = len(_mapping(shards.get("tensors")))
        yield _row(
            "shards",
            f"{count} tensors by {shards.get('world_size')} ranks, {size} in "
            f"{len(files)} files of {shards.get('folder')}",
        )


def _parts(tree: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    if all(isinstance(value, TensorStub) for value in tree.values()):
        yield "weights", tree
        return
    for key, value in tree.items():
        if key in ("meta", "shards"):
            continue
        if key != "engine" or not isinstance(value, Mapping):
            yield str(key), value
            continue
        for name, part in value.items():
            if name in _PARTS_OF_OURS:
                for own, state in _mapping(part).items():
                    yield f"{name.removesuffix('s')} {own!r}", state
            elif name not in ("format", "environment", "at_safe_point"):
                yield str(name), part


def _describe_part(value: Any) -> str:
    """``12 tensors, 56,714 numbers, 221.5 KiB, float32``."""
    stubs = [stub for _, stub in tensors(value)]
    if not stubs:
        if isinstance(value, Mapping | list | tuple):
            shown = [f"{value!r}"] if len(repr(value)) <= _SHOWN else []
            return ", ".join([_entries(value), *shown])
        return _short(value)
    numbers = sum(stub.elements for stub in stubs)
    kinds = ", ".join(dict.fromkeys(stub.dtype for stub in stubs))
    tensor = "tensor" if len(stubs) == 1 else "tensors"
    size = size_text(sum(stub.size_bytes for stub in stubs))
    return f"{len(stubs)} {tensor}, {numbers:,} numbers, {size}, {kinds}"


def _entries(value: Any) -> str:
    return "empty" if not value else f"{len(value)} entries"


def _row(name: str, value: str) -> str:
    return f"{name:<16} {value}"


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}
