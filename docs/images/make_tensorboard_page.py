"""Take docs/images/tensorboard.png: TensorBoard's page of a small run.

python docs/images/make_tensorboard_page.py

It needs Debian's ``chromium``, and the extras ``demo`` and ``tensorboard``. The run, on
scikit-learn's digits, and TensorBoard live in a folder that is deleted.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
DIGITS = HERE.parent / "examples" / "digits.py"
BACKENDS = "visualizer.vis_backends=[{'type': 'TensorboardVisBackend'}]"
SECONDS = 60


def main(picture: Path) -> None:
    """Train, serve, look.

    Args:
        picture: The PNG file to write.
    """
    browser = shutil.which("chromium")
    if browser is None:
        sys.exit("chromium is not installed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = [sys.executable, "-m", "engine", "train", str(DIGITS)]
        work_dir = ["--work-dir", str(folder / "digits"), "--set", BACKENDS]
        quick = {**os.environ, "OMP_NUM_THREADS": "1"}  # small batches
        subprocess.run([*engine, *work_dir], check=True, env=quick)  # noqa: S603 - ours
        port = _free_port()
        serve = [sys.executable, "-m", "tensorboard.main", "--logdir", name]
        options = ["--host", "127.0.0.1", "--port", str(port), "--load_fast", "false"]
        server = subprocess.Popen([*serve, *options])  # noqa: S603 - a client of ours
        try:
            page = f"http://127.0.0.1:{port}/?darkMode=false#timeseries"
            _wait_for(f"http://127.0.0.1:{port}/data/runs")
            look = [
                browser,
                "--headless=new",
                "--no-sandbox",  # CI's user is root
                "--hide-scrollbars",
                "--window-size=1280,900",
                "--virtual-time-budget=20000",
                f"--user-data-dir={folder / 'browser'}",
                f"--screenshot={picture}",
                page,
            ]
            subprocess.run(look, check=True, timeout=SECONDS)  # noqa: S603 - found above
        finally:
            server.terminate()
            server.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(address: str) -> None:
    """Until TensorBoard has read a run."""
    for _ in range(SECONDS):
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - ours
                if answer.read().strip() not in (b"[]", b""):
                    return
        except OSError:
            pass
        time.sleep(1)
    sys.exit(f"{address} showed no run within {SECONDS} seconds")


if __name__ == "__main__":
    main(HERE / "tensorboard.png")
