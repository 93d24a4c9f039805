"""The report's pictures: alone, compared, narrow. make_pictures.py calls it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from engine.report import read_runs, write_page
from tests.browser import Browser

if TYPE_CHECKING:
    from collections.abc import Sequence


def photograph(work_dirs: Sequence[Path], folder: Path) -> list[Path]:
    """Write the pictures of some runs' reports.

    Args:
        work_dirs: The runs; the first one is shown alone as well.
        folder: Where the pictures go.
    """
    runs = read_runs(work_dirs)
    with tempfile.TemporaryDirectory() as place, Browser() as browser:
        one, several = Path(place) / "one.html", Path(place) / "several.html"
        write_page(runs[:1], one)
        write_page(runs, several)
        made = []
        for name, page, width, height, dark in (
            ("report.png", one, 1180, 690, False),
            ("report_compared.png", several, 1180, 920, False),
            ("report_narrow.png", one, 400, 900, True),
        ):
            browser.look(width, height, "dark" if dark else "light")
            browser.open(page)
            browser.picture(folder / name, whole=False)
            made.append(folder / name)
        assert browser.errors == []
    return made
