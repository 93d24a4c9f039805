"""The picture of the progress bars: a terminal in which a run trains.

The run writes to a pseudo-terminal. An emulator reads what is written, and Chromium
photographs one of its screens: one with both bars, if there was one, from the middle of
the run. make_pictures.py calls it.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import pyte
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from tests.browser import Browser

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS, LINES = 128, 14
BAR = re.compile(r"^(\w+) .*?━.* (\d+)/(\d+) ", re.MULTILINE)
PAGE = """\
<!DOCTYPE html><meta charset="utf-8"><style>
body {{ margin: 0; background: {background}; }}
pre {{ margin: 0; padding: 14px 18px; width: max-content; color: {foreground};
       background: {background}; font: 13px/18px "DejaVu Sans Mono", monospace; }}
</style><pre>{code}</pre>
"""


def watch(command: Sequence[str]) -> list[Text]:
    """The screens of a terminal in which a command runs, each after something new.

    Args:
        command: It must succeed.
    """
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", LINES, COLUMNS, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):  # the terminal says
        env.pop(name, None)
    process = subprocess.Popen(  # noqa: S603  # a command of ours
        command, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    screens: list[Text] = []
    while True:
        try:
            told = os.read(ours, 1 << 16)
        except OSError:  # so Linux says that nobody writes any more
            break
        if not told:
            break
        stream.feed(told)
        screens.append(_text(screen))
    os.close(ours)
    if process.wait() != 0:
        sys.exit(f"{command} failed:\n{screens[-1].plain if screens else ''}")
    return screens


def choose(screens: Sequence[Text]) -> Text:
    """The one to show: with most bars under way, the middle one of those.

    Args:
        screens: At least one must show a bar.
    """
    scores = []
    for screen in screens:
        bars = BAR.findall(screen.plain)
        going = sum(0 < int(done) < int(total) for _, done, total in bars)
        scores.append((len(bars), going))
    best = max(scores)
    if best[0] == 0:
        sys.exit("no progress bar was seen")
    fitting = [one for one, score in zip(screens, scores, strict=True) if score == best]
    return fitting[len(fitting) // 2]


def photograph(screen: Text, picture: Path) -> None:
    """Draw a screen.

    Args:
        screen: Its lines, with their colours.
        picture: The PNG file to write.
    """
    with tempfile.TemporaryDirectory() as place, Browser() as browser:
        console = Console(record=True, width=COLUMNS, file=io.StringIO())
        console.print(screen, soft_wrap=True, end="")
        page = Path(place) / "screen.html"
        page.write_text(
            console.export_html(
                theme=SVG_EXPORT_THEME, code_format=PAGE, inline_styles=True
            ),
            encoding="utf-8",
        )
        browser.look(1600, 600)
        browser.open(page)
        browser.picture(picture, selector="pre")
        assert browser.errors == []


def _text(screen: pyte.Screen) -> Text:
    """The emulated screen as rich knows text."""
    whole = Text()
    for row in range(screen.lines):
        line = Text()
        for column in range(screen.columns):
            cell = screen.buffer[row][column]
            line.append(cell.data, _style(cell))
        line.rstrip()
        whole.append_text(line).append("\n")
    whole.rstrip()
    return whole


def _style(cell: pyte.screens.Char) -> str:
    """A cell's looks: pyte names the eight colours, and writes out the others."""
    colour = cell.fg
    if re.fullmatch("[0-9a-f]{6}", colour):
        colour = f"#{colour}"
    elif colour.startswith("bright"):
        colour = f"bright_{colour.removeprefix('bright')}"
    colour = colour.replace("brown", "yellow")  # its name for the third
    return f"{'bold ' * cell.bold}{colour}"
