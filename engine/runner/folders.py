"""The folders of a run, found out to be writable before any work is lost."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from engine.checkpoint import first_log_folder, make_writable
from engine.errors import CheckpointNotFoundError, ConfigError, a_type

__all__ = ["as_path", "log_folder", "log_folders", "make_folder"]


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder and prove that files can be written into it.

    Raises:
        ConfigError: It is no path, or cannot be made or written.
    """
    folder = as_path("work_dir", path, "a folder")
    try:
        make_writable(folder)
    except OSError as error:
        message = (
            f"work_dir {str(folder)!r} cannot be written: {error}. Give a folder that "
            "you may write."
        )
        raise ConfigError(message) from error
    return folder


def as_path(name: str, value: Any, of: str) -> Path:
    """A setting as a path.

    Args:
        name: The setting's, for the message.
        value: What was given.
        of: What the path should lead to.

    Raises:
        ConfigError: It is no path.

    >>> as_path("work_dir", 3, "a folder")
    Traceback (most recent call last):
    engine.errors.ConfigError: work_dir: expected the path of a folder, found an int
    """
    if isinstance(value, str | os.PathLike):
        return Path(value)
    message = f"{name}: expected the path of {of}, found {a_type(value)}"
    raise ConfigError(message)


def log_folder(
    work_dir: Path, timestamp: str, *, resume: str | Path | None = None
) -> Path:
    """The folder for the logs of a start, named after its time; made.

    A run that is resumed goes on in the folder of its first start, if that is in the
    work dir. Two starts within one second get folders of their own.

    Args:
        work_dir: Where it lies.
        timestamp: Its name.
        resume: The checkpoint to resume from, or a folder of them.
    """
    if resume is not None:
        name = first_log_folder(resume)
        if name is not None and (work_dir / name).is_dir():
            return work_dir / name
    number = 1
    while True:
        name = timestamp if number == 1 else f"{timestamp}_{number}"
        try:
            (work_dir / name).mkdir()
        except FileExistsError:
            number += 1
        else:
            return work_dir / name


def log_folders(work_dir: Path) -> list[Path]:
    """The folders of a run's starts, the first start first.

    Raises:
        CheckpointNotFoundError: There is no such work dir.
    """
    if not work_dir.is_dir():
        message = f"{work_dir}: there is no such work dir"
        raise CheckpointNotFoundError(message)
    named = (
        (re.fullmatch(r"(\d{8}_\d{6})(?:_(\d+))?", path.name), path)
        for path in work_dir.iterdir()
        if path.is_dir()
    )
    starts = [(found[1], int(found[2] or 1), path) for found, path in named if found]
    return [path for _, _, path in sorted(starts)]
