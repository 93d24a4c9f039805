"""Lines that stay at the foot of a terminal while log lines pass above them.

Everything that the process writes to the terminal while they stand there goes through
one rich console: the logger's lines, what the user prints, warnings. That console takes
the standing lines away, writes, and puts them back.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

__all__ = ["Foot", "is_terminal"]

_DUMB = ("dumb", "unknown")


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether lines can stand at the foot of what ``stream`` writes to.

    Args:
        stream: ``None``: what ``sys.stderr`` is now.

    >>> import io
    >>> is_terminal(io.StringIO())
    False
    """
    stream = sys.stderr if stream is None else stream
    if stream is None or os.environ.get("TERM", "").lower() in _DUMB:
        return False
    try:
        # Another display stands there already, and two would overwrite each other; a
        # rich one puts a stand-in with this attribute in the stream's place.
        taken = isinstance(stream, _Above) or hasattr(stream, "rich_proxied_file")
        return stream.isatty() and not taken
    except ValueError:  # closed
        return False


class Foot:
    """The foot of the terminal that ``sys.stderr`` is; nothing where it is none.

    While it is open, ``sys.stderr`` and ``sys.stdout`` are stand-ins, as far as they
    lead to a terminal. A run's logger looks its console up at each line.
    """

    def __init__(self) -> None:
        self._live: Live | None = None
        self._console: Console | None = None
        self._gone = False
        self._instead: dict[str, _Above] = {}  # of sys.stdout and sys.stderr

    @property
    def is_open(self) -> bool:
        """Whether lines stand there."""
        return self._live is not None

    def open(self) -> bool:
        """Take the terminal's foot, if there is a terminal and nobody has it.

        Returns:
            Whether it is ours.
        """
        if self._live is not None:
            return True
        if self._gone or not is_terminal():
            return False
        from rich.console import Console
        from rich.live import Live

        self._console = Console(
            file=sys.stderr, force_terminal=True, force_interactive=True
        )
        self._live = Live(
            console=self._console,
            auto_refresh=False,  # its thread would be forked into loader workers
            transient=True,
            redirect_stdout=False,  # its stand-ins would break long lines
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._live.start()
        # Not hidden: a process that is killed could not bring it back.
        self._console.show_cursor(True)
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            # Output that goes to a file while this terminal watches stays there.
            if stream is not None and stream.isatty():
                self._instead[name] = _Above(stream, self._print)
                setattr(sys, name, self._instead[name])
        return True

    @property
    def width(self) -> int:
        """Columns for the lines. One is left free: a full one makes terminals wrap."""
        return 79 if self._console is None else max(self._console.width - 1, 1)

    @property
    def is_ascii(self) -> bool:
        """Whether the terminal cannot show more than ASCII."""
        return self._console is None or self._console.options.ascii_only

    def show(self, lines: Sequence[Text]) -> None:
        """Let these lines stand there, in place of those that do.

        A terminal that is gone is left alone from then on: no reason to lose a run.
        """
        if self._live is None:
            return
        from rich.text import Text

        standing = Text("\n", no_wrap=True, overflow="crop", end="").join(lines)
        standing.no_wrap, standing.overflow = True, "crop"
        try:
            self._live.update(standing, refresh=True)
        except OSError:
            self._gone = True
            self.close()

    def close(self) -> None:
        """Take the lines away and give the terminal back; twice is allowed."""
        live, self._live = self._live, None
        if live is None:
            return
        for name, instead in self._instead.items():
            if getattr(sys, name) is instead:  # else somebody put another in its place
                setattr(sys, name, instead.stream)
        with suppress(OSError):  # a terminal that is gone needs no cleaning
            live.stop()
        with suppress(OSError):
            for instead in self._instead.values():
                instead.end()
        self._instead.clear()

    def _print(self, text: str) -> None:
        """Write whole lines above the standing ones."""
        assert self._console is not None
        from rich.text import Text

        encoding = self._console.encoding
        shown = text.encode(encoding, "backslashreplace").decode(encoding)
        # The terminal breaks long lines, not we: they stay whole when copied.
        self._console.print(Text.from_ansi(shown), soft_wrap=True)


class _Above:
    """Stands for a stream to the terminal: what is written to it appears line by line.

    Args:
        stream: The stream; asked for all else.
        show: Writes whole lines above the standing ones.
    """

    def __init__(self, stream: TextIO, show: Callable[[str], None]) -> None:
        self.stream = stream
        self._show = show
        self._begun = ""  # of a line that is not whole yet

    def __getattr__(self, name: str) -> Any:
        """Whatever else the stream has."""
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Show what is whole; keep the rest until it is."""
        whole, newline, rest = (self._begun + text).rpartition("\n")
        self._begun = rest
        if newline:
            self._show(whole)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing waits but the beginning of a line, which needs its end."""

    def end(self) -> None:
        """Write to the stream what never became a whole line."""
        if self._begun:
            self.stream.write(self._begun)
            self.stream.flush()
            self._begun = ""
