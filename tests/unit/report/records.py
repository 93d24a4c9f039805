"""Log lines of made-up runs, and work dirs that hold them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["begin", "iterations", "line", "save", "train_lines", "validate", "write"]

Record = dict[str, Any]


def line(event: str, second: float = 0, **values: Any) -> Record:
    """A log line, so many seconds after noon."""
    minutes, seconds = divmod(second, 60)
    time = f"2026-11-24T12:{int(minutes):02d}:{seconds:06.3f}+00:00"
    return {
        "timestamp": time,
        "level": "info",
        "event": event,
        "run": "toy_run",
        "rank": 0,
        **values,
    }


def begin(
    done: int = 0, *, epoch: int = 0, second: float = 0, **more: Any
) -> list[Record]:
    """What a process says when it begins to train, or to go on."""
    lines = [line("environment", second, torch="2.13.0", threads="2")]
    if done:
        path = f"/runs/toy/iter_{done}.pth"
        lines.append(line("resumed", second, path=path, epoch=epoch, iter=done))
    start = {"epoch": epoch, "iter": done, "seed": 7, "max_epochs": 2} | more
    return [*lines, line("training_starts", second, **start)]


def iterations(
    places: Iterable[int], length: int = 4, *, scale: float = 1.0
) -> list[Record]:
    """Lines of iterations; the loss is ``scale / iteration``."""
    return [
        line(
            "train",
            place,
            time=0.5,
            data_time=0.1,
            lr=0.01,
            loss=scale / place,
            epoch=(place - 1) // length + 1,
            iter=place,
        )
        for place in places
    ]


def train_lines(records: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Those of iterations, as a metrics file has them."""
    apart = ("timestamp", "level", "event", "run", "rank", "time_spent")
    return [
        {key: value for key, value in one.items() if key not in apart}
        | {"step": one["iter"]}
        for one in records
        if one["event"] == "train"
    ]


def validate(
    step: int, accuracy: float, length: int = 4, *, placed: bool = True
) -> Record:
    """A validation after an epoch; older logs do not tell the iteration."""
    values: Record = {"time": 0.1, "data_time": 0.01, "accuracy": accuracy}
    if placed:
        values["iter"] = step * length
    return line("val_metrics", step * length, step=step, **values)


def save(epoch: int, done: int, folder: str = "/runs/toy") -> Record:
    """A checkpoint of an epoch was written."""
    path = f"{folder}/epoch_{epoch}.pth"
    return line("checkpoint_saved", done, path=path, epoch=epoch, iter=done)


def write(
    work_dir: Path,
    records: Iterable[Mapping[str, Any] | str],
    *,
    metrics: Iterable[Mapping[str, Any] | str] | None = None,
    start: str = "20261124_120000",
) -> Path:
    """Write a log, and a metrics file, into a folder of a work dir; text as it is."""
    folder = work_dir / start
    folder.mkdir(parents=True)
    _put(folder / f"{start}.log.jsonl", records)
    if metrics is not None:
        (folder / "vis_data").mkdir()
        _put(folder / "vis_data" / "scalars.json", metrics)
    return work_dir


def _put(path: Path, records: Iterable[Mapping[str, Any] | str]) -> None:
    lines = [one if isinstance(one, str) else f"{json.dumps(one)}\n" for one in records]
    path.write_text("".join(lines), encoding="utf-8")
