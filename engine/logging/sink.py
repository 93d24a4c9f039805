"""Where the lines of one run's logger go; the only part of logging that acts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TextIO
from weakref import finalize

from attrs import define, field

from engine.logging.processors import console_text, json_text, stamp

__all__ = ["Sink"]

LOUD = frozenset({"warning", "error", "critical"})
"""Levels that every rank prints."""


@define(kw_only=True, eq=False)
class Sink:
    """A console and a file of JSON lines; a failure of one is told to the other.

    Neither stops a run: a console that is gone is not written to again, and the file
    keeps what it could not write for the next line, as far as its buffer reaches.

    Args:
        console: Text stream. ``None``: whatever ``sys.stderr`` is at each line, so
            that a progress bar may put itself in its place.
        path: The file, opened for appending at the first line. ``None``: no file.
        rank: Ranks above 0 print only warnings and worse, with the rank in front.
        bound: What is the same on each line; the console does not repeat it.
        is_first: Whether no other rank has printed the same warning or error; ``None``:
            there are no others.
        may_colour: Whether a console that is a terminal gets colours.
    """

    console: TextIO | None
    path: Path | None
    rank: int
    is_first: Callable[[str], bool] | None = None
    bound: Mapping[str, Any]
    may_colour: bool
    _prints: bool = field(default=True, init=False)
    _file: BinaryIO | None = field(default=None, init=False)
    _at_end: finalize[[], Any] | None = field(default=None, init=False)
    _file_failed: bool = field(default=False, init=False)
    _closed: bool = field(default=False, init=False)

    def write(self, record: Mapping[str, Any]) -> None:
        """Write one stamped event to the file and to the console."""
        self._write_json(record)
        loud = record["level"] in LOUD
        if self._prints and (self.rank == 0 or loud):
            if loud and self.is_first is not None and not self.is_first(_said(record)):
                return
            self._print(record)

    # structlog calls the method named like the level.
    debug = info = warning = error = critical = write

    def close(self) -> None:
        """Close the file; a line that comes later opens it for that line only."""
        self._closed = True
        file, self._file = self._file, None
        if file is None or self._at_end is None:
            return
        self._at_end.detach()
        try:
            file.close()
        except OSError as error:
            self._tell_of_file(error)

    def _write_json(self, record: Mapping[str, Any]) -> None:
        if self.path is None:
            return
        line = json_text(record).encode("ascii") + b"\n"
        try:
            if self._file is None:
                self._file = _open_at_line(self.path)
                # With its run, where nobody closes the logger. In a cycle that is
                # collected, ``__del__`` may come after the file's own, which warns.
                self._at_end = finalize(self, self._file.close)
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            self._tell_of_file(error)
        else:
            self._file_failed = False
        if self._closed:
            self.close()

    def _tell_of_file(self, error: OSError) -> None:
        if self._file_failed or not self._prints:  # once for each failure in a row
            return
        self._file_failed = True
        keys = {"event": "log_file_failed", "path": str(self.path), "error": str(error)}
        self._print(stamp(None, "warning", keys))

    def _print(self, record: Mapping[str, Any]) -> None:
        stream = sys.stderr if self.console is None else self.console
        if stream is None:  # a windowed Python has no stderr
            return
        try:
            text = console_text(
                record,
                hidden=self.bound,
                prefix=f"[rank {self.rank}] " if self.rank else "",
                colours=self.may_colour and stream.isatty(),
            )
            _write_text(stream, text + "\n")
        except (OSError, ValueError) as error:  # ValueError: I/O on a closed stream
            self._prints = False
            keys = {"event": "console_closed", **self.bound, "error": repr(error)}
            self._write_json(stamp(None, "warning", keys))


def _said(record: Mapping[str, Any]) -> str:
    """What a line says, whoever says it and when."""
    return str(record.get("line") or record.get("event"))


def _open_at_line(path: Path) -> BinaryIO:
    """Open ``path`` for appending, on a line of its own, making its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab")
    if file.tell() > 0:
        with path.open("rb") as written:
            written.seek(-1, os.SEEK_END)
            # A writer that was killed may have left half a line.
            if written.read(1) != b"\n":
                file.write(b"\n")
    return file


def _write_text(stream: TextIO, text: str) -> None:
    """Write and flush; what the stream's encoding lacks is written as escapes."""
    try:
        stream.write(text)
    except UnicodeEncodeError:  # a ValueError too, but the console is well
        encoding = stream.encoding
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
