"""Are two runs the same, to the bit?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import frozen

from engine.checkpoint import (
    Difference,
    compare_checkpoints,
    find_differences,
    find_latest_checkpoint,
    read,
)
from engine.errors import CheckpointNotFoundError, ConfigError, a_type
from engine.state import find_parting
from engine.testing.records import read_ledgers, read_scalars

__all__ = ["RunComparison", "assert_same_run", "compare_logs", "same_run"]

_KEPT = 100  # differences that a result holds


@frozen
class RunComparison:
    """What :func:`same_run` found; true if the runs are the same.

    Args:
        differences: The first ones, at most 100, in the order of comparison: what was
            recorded while the runs went on, then checkpoint for checkpoint.
        compared: What was compared.
    """

    differences: tuple[Difference, ...]
    compared: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether there is no difference."""
        return not self.differences

    def __str__(self) -> str:
        """The first part and key that differ, and by how much."""
        if not self.differences:
            return f"the same run: {', '.join(self.compared)}"
        first, *others = self.differences
        more = ""
        if others:
            some = "at least " if len(self.differences) == _KEPT else ""
            more = f" (and {some}{len(others)} more)"
        return f"not the same run: {first}{more}"


def same_run(one: Any, other: Any) -> RunComparison:
    """Compare two runs: all that exact resume promises.

    That is weights, buffers, optimizers, gradients of an open window, schedules,
    averages, hooks' and samplers' state, place, generators and recorded scalars.
    Clock times, memory, names and folders are not compared.

    Args:
        one: A checkpoint's path, what :func:`engine.checkpoint.read` returned, a work
            dir (its checkpoints, its metrics and, if there is one, its ledger), or a
            list of these.
        other: Likewise. Of two work dirs, the checkpoints that both have are compared,
            and the newest must have the same name.

    Returns:
        True if they are the same; its ``str`` names the first part and key that differ
        and the size of the difference.

    Raises:
        CheckpointNotFoundError: A path leads nowhere, or a work dir has no checkpoint.
        CheckpointDamagedError: A file cannot be read.
        ConfigError: The two are not of the same kind.
    """
    compared: list[str] = []
    found = tuple(islice(_compare(one, other, compared), _KEPT))
    return RunComparison(found, tuple(dict.fromkeys(compared)))


def assert_same_run(one: Any, other: Any) -> None:
    """Raise an AssertionError unless :func:`same_run` finds two runs the same.

    Raises:
        AssertionError: It names the first part and key that differ, and by how much.
    """
    found = same_run(one, other)
    if not found:
        raise AssertionError(str(found))


def compare_logs(one: Path, other: Path) -> Iterator[Difference]:
    """Where two work dirs' ledgers and metrics part: the first place of each.

    Args:
        one: A work dir.
        other: Likewise.
    """
    mine, theirs = read_ledgers(one), read_ledgers(other)
    for name in mine:
        if name in theirs:
            parting = find_parting(mine[name], theirs[name])
            if parting is not None:
                yield Difference(name.removesuffix(".bin"), f", {parting}", "differs")
    lines, others = read_scalars(one), read_scalars(other)
    if lines and others:
        first = next(find_differences(lines, others, part="scalars"), None)
        if first is not None:
            yield first


def _compare(one: Any, other: Any, compared: list[str]) -> Iterator[Difference]:
    if _is_list(one) and _is_list(other):
        if len(one) != len(other):
            yield Difference("runs", "", f"{len(one)} of them and {len(other)}")
        for index, (mine, theirs) in enumerate(zip(one, other, strict=False)):
            for found in _compare(mine, theirs, compared):
                yield _named(f"[{index}] ", found)
    elif isinstance(one, Mapping) and isinstance(other, Mapping):
        compared.append("checkpoints")
        yield from compare_checkpoints(one, other)
    elif _is_path(one) and _is_path(other):
        yield from _compare_paths(Path(one), Path(other), compared)
    else:
        message = (
            f"same_run: expected two paths, two checkpoints or two lists of them, "
            f"found {a_type(one)} and {a_type(other)}"
        )
        raise ConfigError(message)


def _compare_paths(one: Path, other: Path, compared: list[str]) -> Iterator[Difference]:
    if one.is_dir() and other.is_dir():
        yield from _compare_work_dirs(one, other, compared)
        return
    for path, partner in ((one, other), (other, one)):
        if path.is_dir():
            message = f"same_run: {path} is a folder and {partner} is none"
            raise ConfigError(message)
    compared.append("checkpoints")
    yield from compare_checkpoints(read(one), read(other))


def _compare_work_dirs(
    one: Path, other: Path, compared: list[str]
) -> Iterator[Difference]:
    mine, theirs = _checkpoints(one), _checkpoints(other)
    compared.append("logs")
    yield from compare_logs(one, other)
    if mine[-1].name != theirs[-1].name:
        what = f"{mine[-1].name} in {one}, {theirs[-1].name} in {other}"
        yield Difference("newest checkpoint", "", what)
    by_name = {path.name: path for path in theirs}
    for path in mine:
        if path.name in by_name:
            compared.append(path.name)
            for found in compare_checkpoints(read(path), read(by_name[path.name])):
                yield _named(f"{path.name}: ", found)


def _checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a work dir, oldest first."""
    files = sorted(
        folder.glob("*.pth"), key=lambda path: (path.stat().st_mtime_ns, path.name)
    )
    if not files:
        message = f"{folder}: the folder holds no checkpoint (*.pth)"
        raise CheckpointNotFoundError(message)
    latest = find_latest_checkpoint(folder)
    if latest is not None and Path(latest) in files:
        files.remove(Path(latest))
        files.append(Path(latest))
    return files


def _named(name: str, found: Difference) -> Difference:
    return Difference(f"{name}{found.part}", found.key, found.what, found.size)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_path(value: Any) -> bool:
    return isinstance(value, str | os.PathLike)
