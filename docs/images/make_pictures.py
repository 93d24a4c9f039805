"""Make the pictures of the docs anew: all docs/images/*.png.

python docs/images/make_pictures.py [--quick] [FOLDER]

It trains scikit-learn's digits three times (half a minute), writes their reports,
serves TensorBoard, and photographs these in headless Chromium (Debian: apt-get install
chromium). With ``--quick`` there is one run of three epochs: to see in CI that all can
still be made. The extras ``dev`` and ``plot`` bring what it needs. FOLDER is where the
pictures go, docs/images by itself.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]

import progress_picture  # noqa: E402
import report_pictures  # noqa: E402
import schedule_gallery  # noqa: E402
import tensorboard_page  # noqa: E402

from tests.browser import find_chromium  # noqa: E402

BACKENDS = "[{'type': 'LocalVisBackend'}, {'type': 'TensorboardVisBackend'}]"
ALL = [f"visualizer.vis_backends={BACKENDS}", "val_dataloader.batch_size=20"]
RUNS: dict[str, list[str]] = {  # what is changed in each
    "digits": [],
    "slower": ["optim_wrapper.optimizer.lr=0.0003"],
    "wider": ["model.module.width=64", "model.module.dropout=0.5"],
}
QUICK = ["train_cfg.max_epochs=3", "param_scheduler.1.end=3"]


def command(name: str, *, quick: bool) -> list[str]:
    """The command that trains a run in the current folder's ``work_dirs``.

    Args:
        name: One of ``RUNS``.
        quick: Only three epochs.
    """
    config = ROOT / "docs" / "examples" / "digits.py"
    train = [sys.executable, "-m", "engine", "train", str(config)]
    changes = [*ALL, *RUNS[name], *(QUICK if quick else [])]
    sets = [word for change in changes for word in ("--set", change)]
    return [*train, "--work-dir", f"work_dirs/{name}", *sets]


def main(folder: Path, *, quick: bool) -> list[Path]:
    """Make them all.

    Args:
        folder: Where they go; it exists.
        quick: Of one short run, which is then compared with itself.

    Returns:
        The files.
    """
    made = [folder / "progress.png", folder / "tensorboard.png"]
    screens = progress_picture.watch(command("digits", quick=quick))
    progress_picture.photograph(progress_picture.choose(screens), made[0])
    tensorboard_page.photograph(Path("work_dirs"), made[1])  # before there are others
    for name in ("slower", "wider"):
        if quick:
            shutil.copytree("work_dirs/digits", f"work_dirs/{name}")
        else:
            subprocess.run(command(name, quick=quick), check=True)  # noqa: S603 - ours
    work_dirs = [Path("work_dirs") / name for name in RUNS]
    made += report_pictures.photograph(work_dirs, folder)
    made.append(folder / "schedules.png")
    schedule_gallery.main(made[-1])
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=HERE)
    parser.add_argument(
        "--quick", action="store_true", help="of one run of three epochs"
    )
    options = parser.parse_args()
    if find_chromium() is None:
        sys.exit("Chromium is not installed: apt-get install chromium")
    target = options.folder.absolute()
    target.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"  # small batches
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as temporary, chdir(temporary):
        for picture in main(target, quick=options.quick):
            sys.stdout.write(f"{picture}\n")
