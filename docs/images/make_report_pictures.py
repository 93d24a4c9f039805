"""Make the report's pictures: docs/images/report*.png.

python docs/images/make_report_pictures.py

It trains the digits three times (half a minute), writes their reports and photographs
them in headless Chromium (Debian: apt-get install chromium). A test does the same with
smaller runs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from engine.report import read_runs, write_page  # noqa: E402
from tests.browser import Browser  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

RUNS = {
    "digits": [],
    "slower": ["optim_wrapper.optimizer.lr=0.0003"],
    "wider": ["model.module.width=64", "model.module.dropout=0.5"],
}


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


def train(folder: Path) -> list[Path]:
    """Train the digits, once as they are and twice with other settings."""
    work_dirs = []
    for name, changes in RUNS.items():
        sets = [word for change in changes for word in ("--set", change)]
        command = [sys.executable, "-m", "engine", "train", "docs/examples/digits.py"]
        work_dir = folder / name
        subprocess.run(  # noqa: S603  # a command of ours
            [*command, "--work-dir", str(work_dir.absolute()), *sets],
            cwd=ROOT,
            check=True,
        )
        work_dirs.append(work_dir)
    return work_dirs


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary, chdir(temporary):
        for picture in photograph(train(Path("work_dirs")), HERE):
            sys.stdout.write(f"{picture}\n")
