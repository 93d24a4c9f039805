"""What a run wrote down in its log folders, as one history."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.errors import SerializationError
from engine.runner.folders import log_folders
from engine.state import merge_ledgers, read_ledger

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["log_folders", "read_ledgers", "read_scalars"]

_TIMES = ("time", "data_time", "eta", "memory", "elapsed", "timestamp")


def read_ledgers(work_dir: Path) -> dict[str, Any]:
    """The ledgers of a run by name (one a rank), each start's in the place of earlier.

    Raises:
        CheckpointNotFoundError: There is no such work dir.
        SerializationError: A file is no ledger.
    """
    found: dict[str, list[Any]] = {}
    for folder in [*log_folders(work_dir), work_dir]:
        for path in sorted(folder.glob("ledger*.bin")):
            records = read_ledger(path.read_bytes(), str(path))
            found.setdefault(path.name, []).append(records)
    return {name: merge_ledgers(some) for name, some in found.items()}


def read_scalars(work_dir: Path) -> dict[str, dict[str, Any]]:
    """The lines of a run's metrics file by place, without clock times.

    Of a line that several starts wrote, the last one's counts.

    Args:
        work_dir: The run's.

    Returns:
        By ``"iteration 10"`` for training and ``"step 1: accuracy"`` (step and names)
        for what a validation gave, in order of writing: values by name.

    Raises:
        CheckpointNotFoundError: There is no such work dir.
        SerializationError: A file holds a line that is no JSON object.
    """
    found: dict[str, dict[str, Any]] = {}
    for folder in log_folders(work_dir):
        path = folder / "vis_data" / "scalars.json"
        if not path.is_file():
            continue
        lines = path.read_text(encoding="utf-8").split("\n")
        for number, line in enumerate(lines, start=1):
            if not line or number == len(lines):  # half a line: its run was killed
                continue
            record = _record(line, f"{path}:{number}")
            values = {
                name: value
                for name, value in record.items()
                if name.rpartition("/")[2] not in _TIMES
            }
            found[_place(values)] = values
    return found


def _record(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        message = f"{where}: no JSON: {error}"
        raise SerializationError(message) from error
    if not isinstance(record, dict):
        message = f"{where}: expected a JSON object, found {line[:40]!r}"
        raise SerializationError(message)
    return record


def _place(values: dict[str, Any]) -> str:
    if "iter" in values:
        return f"iteration {values['iter']}"
    names = ", ".join(sorted(name for name in values if name != "step"))
    return f"step {values.get('step')}: {names}"
