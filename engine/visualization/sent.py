"""Which points a service was given, so that it gets none of them twice."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["Sent"]

_Point = tuple[str, int | float]


class Sent:
    """A file beside the run's logs with a line for each step that was shown.

    Most services cannot take points back. A run that is resumed from a checkpoint
    computes those after it anew, and to the bit the same: here it is told which of them
    the service has, and leaves those out.

    Args:
        path: The file; made when first needed. ``None``: nothing is remembered beyond
            this process.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._ahead: Counter[_Point] = Counter()

    def fresh(self, names: Iterable[str], step: float) -> list[str]:
        """Those names whose point at ``step`` the service lacks.

        One that it has is asked of once: a second one at that step is a new point.
        """
        if not self._ahead:
            return list(names)
        lacking = []
        for name in names:
            left = self._ahead.pop((name, step), 0)
            if not left:
                lacking.append(name)
            elif left > 1:
                self._ahead[name, step] = left - 1
        return lacking

    def note(self, names: Iterable[str], step: float) -> None:
        """Write down that the service has these points."""
        if self._path is None:
            return
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
        # To the system at once: a killed process must not forget what it sent.
        self._file.write(json.dumps([step, *names]).encode("ascii") + b"\n")
        self._file.flush()

    def state_dict(self) -> dict[str, Any]:
        """How far the file goes, and what before its end was not asked of again."""
        size = self._size_of_file()
        ahead = [[name, step, n] for (name, step), n in sorted(self._ahead.items())]
        return {"size": size, "ahead": ahead}

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Know what was sent after :meth:`state_dict` was asked.

        A file that is gone or shorter says nothing: points may then be sent again.
        """
        self.close()
        self._ahead = Counter({(n, step): c for n, step, c in state_dict["ahead"]})
        if self._path is None or not self._path.is_file():
            return
        with self._path.open("r+b") as file:
            file.seek(state_dict["size"])
            *lines, half = file.read().split(b"\n")
            for line in lines:
                step, *names = json.loads(line)
                self._ahead.update((name, step) for name in names)
            if half:  # its process was killed while writing it
                file.truncate(file.tell() - len(half))

    def close(self) -> None:
        """Close the file; a point that comes later opens it again."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _size_of_file(self) -> int:
        if self._path is None or not self._path.is_file():
            return 0
        return self._path.stat().st_size
