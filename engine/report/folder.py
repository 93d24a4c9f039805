"""A run's files, read: the edge between a work dir and the model of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ReportError
from engine.report.checkpoints import find_checkpoints
from engine.report.handlers import read_handlers
from engine.report.lines import Note, read_lines
from engine.report.log import Story
from engine.runner.folders import log_folders

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.report.handlers import Handler
    from engine.report.run import Run

__all__ = ["read_run", "read_runs"]


def read_runs(work_dirs: Sequence[Path], *, verify: bool = True) -> Sequence[Run]:
    """The runs of several work dirs, each with a name of its own.

    Raises:
        ReportError: One is no work dir, or holds no run.
    """
    runs = []
    for folder, name in zip(work_dirs, _names(work_dirs), strict=True):
        runs.append(read_run(folder, name=name, verify=verify))
    return runs


def read_run(work_dir: Path, *, name: str = "", verify: bool = True) -> Run:
    """What the files of a work dir tell of the newest run in it.

    Nothing is changed, and nothing in the folder is run: configs are read as text.

    Args:
        work_dir: The folder.
        name: For a legend; default: the folder's.
        verify: Whether to verify checkpoints, which reads all of each.

    Raises:
        ReportError: It is no folder, or holds neither a log nor a metrics file.
    """
    if not work_dir.is_dir():
        what = "is a file" if work_dir.exists() else "is not there"
        message = f"{work_dir}: {what}; give a run's work dir"
        raise ReportError(message)
    story, notes = Story(), list[Note]()
    handlers: Sequence[Handler] = ()
    for folder in log_folders(work_dir):
        runs_before = story.earlier_runs
        if _read_folder(work_dir, folder, story, notes):
            same_run = story.earlier_runs == runs_before
            handlers = _handlers(work_dir, folder, notes) or (
                handlers if same_run else ()
            )
    if story.is_empty:
        raise ReportError(_nothing_in(work_dir))
    if story.earlier_runs:
        notes.append(_earlier(work_dir, story.earlier_runs))
    return story.tell(
        name=name or work_dir.resolve().name,
        work_dir=str(work_dir),
        checkpoints=find_checkpoints(work_dir, story.saves, look=verify),
        config=story.config or _config_file(work_dir),
        notes=notes,
        handlers=handlers,
    )


def _read_folder(work_dir: Path, folder: Path, story: Story, notes: list[Note]) -> bool:
    """Let a folder's files go on with the story; whether they tell of training."""
    trained = has_log = False
    for path in sorted(folder.glob("*.log.jsonl")):
        records, found = read_lines(_text(path, notes), str(path.relative_to(work_dir)))
        notes += found
        has_log = has_log or bool(records)
        trained = story.take_log(records) or trained
    metrics = folder / "vis_data" / "scalars.json"
    # What a process that only evaluated wrote there, its log tells.
    if metrics.is_file() and (trained or not has_log):
        records, found = read_lines(
            _text(metrics, notes), str(metrics.relative_to(work_dir))
        )
        notes += found
        story.take_metrics(records)
    return trained


def _handlers(work_dir: Path, folder: Path, notes: list[Note]) -> Sequence[Handler]:
    path = folder / "timeline.json"
    if not path.is_file():
        return []
    found, odd = read_handlers(_text(path, notes), str(path.relative_to(work_dir)))
    notes += odd
    return found


def _text(path: Path, notes: list[Note]) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        notes.append(Note(str(path), f"cannot be read: {error.strerror or error}"))
        return ""


def _config_file(work_dir: Path) -> str:
    """The config that lies in the work dir, for a run whose log does not hold it."""
    files = sorted(work_dir.glob("*.py"))
    try:
        return files[0].read_text(encoding="utf-8") if len(files) == 1 else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _earlier(work_dir: Path, number: int) -> Note:
    what = "an earlier run" if number == 1 else f"{number} earlier runs"
    text = f"the folder holds logs of {what} too; the newest run is shown"
    return Note(str(work_dir), text)


def _nothing_in(work_dir: Path) -> str:
    if list(work_dir.glob("*.log.jsonl")) or (work_dir / "vis_data").is_dir():
        return (
            f"{work_dir}: is the log folder of one start; give the work dir that it "
            f"lies in: {work_dir.resolve().parent}"
        )
    inside = [path.name for path in sorted(work_dir.iterdir()) if _is_work_dir(path)]
    if inside:
        return (
            f"{work_dir}: is no run's work dir, but holds some: {', '.join(inside)}. "
            "Name those that the report is to show."
        )
    return (
        f"{work_dir}: holds no run: neither a log (TIME/TIME.log.jsonl) nor a metrics "
        "file (TIME/vis_data/scalars.json) with anything in it"
    )


def _is_work_dir(path: Path) -> bool:
    return path.is_dir() and any(
        [*path.glob("*/*.log.jsonl"), *path.glob("*/vis_data/scalars.json")]
    )


def _names(work_dirs: Sequence[Path]) -> Sequence[str]:
    """The shortest last parts of the paths that tell them apart.

    >>> from pathlib import Path
    >>> _names([Path("/a/digits"), Path("/b/digits"), Path("/b/gan")])
    ['a/digits', 'b/digits', 'b/gan']
    >>> _names([Path("/a/digits")])
    ['digits']
    """
    parts = [path.resolve().parts for path in work_dirs]
    deepest = max(map(len, parts), default=1)
    for depth in range(1, deepest + 1):
        names = ["/".join(one[-depth:]) for one in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{'/'.join(one[-1:])} ({index})" for index, one in enumerate(parts, 1)]
