"""The checkpoints that lie in a work dir, each verified."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from engine.checkpoint import Manifest, find_latest_checkpoint, verify
from engine.checkpoint.manifest import manifest_name
from engine.errors import CheckpointError, SerializationError
from engine.report.run import CheckpointFile, Save

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["find_checkpoints"]


def find_checkpoints(
    work_dir: Path, saves: Sequence[Save], *, look: bool = True
) -> Sequence[CheckpointFile]:
    """The checkpoints of a run, oldest first.

    Args:
        work_dir: Its folder.
        saves: Those that its log tells of; some may lie elsewhere, or be gone.
        look: Whether to verify each, which reads all of it.
    """
    logged = {Path(one.path).name: one for one in saves}
    paths = {path.resolve(): path for path in work_dir.glob("*.pth")}
    for one in saves:
        path = Path(one.path)
        # A work dir that was copied holds its own: the log names those of the first.
        if "://" in one.path or (work_dir / path.name).exists():
            continue
        if path.is_file():
            paths.setdefault(path.resolve(), path)
    newest = _newest(work_dir)
    # The run's own id is that of its newest file; others' in the folder are not its.
    manifests = {path: _manifest(path) for path in paths.values()}
    mine = {
        one.run_id
        for path, one in manifests.items()
        if one is not None and path.name in logged
    }
    files = []
    for path, manifest in manifests.items():
        said = logged.get(path.name)
        roles = []
        if newest is not None and path.resolve() == newest:
            roles.append("newest")
        if path.name.startswith("best_"):
            roles.append("best")
        if manifest is not None and mine and manifest.run_id not in mine:
            roles.append("another run's")
        good, reason = _verdict(path) if look else (None, "")
        try:
            found = path.stat()
        except FileNotFoundError:  # a run that is going on has dropped it just now
            continue
        inside = path.is_relative_to(work_dir)
        modified = datetime.fromtimestamp(found.st_mtime, UTC).astimezone()
        files.append(
            CheckpointFile(
                name=str(path.relative_to(work_dir) if inside else path),
                # Of ranks that wrote it in pieces, all of them.
                size_bytes=manifest.total_bytes if manifest else path.stat().st_size,
                epoch=manifest.epoch if manifest else said.epoch if said else None,
                iteration=(
                    manifest.iteration if manifest else said.iteration if said else None
                ),
                time=modified.isoformat(timespec="seconds"),
                good=good,
                reason=reason,
                roles=roles,
            )
        )
    return sorted(files, key=lambda one: (one.iteration or 0, one.time, one.name))


def _newest(work_dir: Path) -> Path | None:
    found = find_latest_checkpoint(work_dir)
    return None if found is None or "://" in found else Path(found).resolve()


def _manifest(path: Path) -> Manifest | None:
    """What lies beside a file; ``None`` without, or with a damaged one."""
    beside = path.with_name(manifest_name(path.name))
    try:
        return Manifest.from_text(beside.read_text(encoding="utf-8"), beside.name)
    except (OSError, UnicodeDecodeError, SerializationError):
        return None


def _verdict(path: Path) -> tuple[bool, str]:
    try:
        verify(path)
    except CheckpointError as error:
        return False, str(error).removeprefix(f"{path}: ")
    except OSError as error:
        return False, f"cannot be read: {error.strerror or error}"
    return True, ""
