"""The picture of TensorBoard's page of a run. make_pictures.py calls it."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import TYPE_CHECKING

from tests.browser import find_chromium

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 60
TAGS = "accuracy|loss|lr"


def photograph(runs: Path, picture: Path) -> None:
    """Serve, and look.

    Args:
        runs: A folder with files for TensorBoard somewhere in it.
        picture: The PNG file to write.
    """
    port = _free_port()
    serve = [sys.executable, "-m", "tensorboard.main", "--logdir", str(runs)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--load_fast", "false"]
    server = subprocess.Popen([*serve, *options])  # noqa: S603 - a client of ours
    try:
        _wait_for(f"http://127.0.0.1:{port}/data/runs")
        with tempfile.TemporaryDirectory() as profile:
            look = [
                str(find_chromium()),
                "--headless=new",
                "--no-sandbox",  # CI's user is root
                "--hide-scrollbars",
                "--window-size=1280,740",
                "--virtual-time-budget=20000",
                f"--user-data-dir={profile}",
                f"--screenshot={picture}",
                # The newer tab, "time series", draws with WebGL, which it lacks.
                f"http://127.0.0.1:{port}/?darkMode=false#scalars&tagFilter={TAGS}",
            ]
            subprocess.run(look, check=True, timeout=SECONDS)  # noqa: S603 - found
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
