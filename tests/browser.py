"""Headless Chromium, asked over a pipe by its own protocol: no driver, no package."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["Browser", "find_chromium"]

_FLAGS = (
    "--headless",
    "--no-sandbox",  # root has no user namespace for it
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)


def find_chromium() -> str | None:
    """The program, or ``None`` where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One tab of a Chromium of its own; leaves with the ``with`` block.

    Attributes:
        errors: What the page's console said, exceptions and refused loads included.
        requests: Addresses that the page asked for, its own first.
    """

    def __init__(self) -> None:
        program = find_chromium()
        assert program is not None, "there is no Chromium"
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        # Chromium reads commands from 3 and answers on 4.
        script = f'exec 3<&{to_read} 4>&{to_write}; exec "$@"'
        self._process = subprocess.Popen(
            [
                "/bin/bash",
                "-c",
                script,
                "chromium",
                program,
                *_FLAGS,
                f"--user-data-dir={self._profile.name}",
            ],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer = b""
        self._number = 0
        self._session = ""

    def __enter__(self) -> Browser:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._write)  # the end of its commands is the end of Chromium
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        self._profile.cleanup()

    # -- the page ----------------------------------------------------------------

    def open(self, path: Path) -> None:
        """Load a file and wait until it is there, forgetting what was told before."""
        self.errors.clear()
        self.requests.clear()
        self._loaded = False
        gone = self.call("Page.navigate", url=path.resolve().as_uri())
        assert "errorText" not in gone, f"{path}: {gone}"
        while not self._loaded:
            self._take()
        self.settle()

    def look(
        self,
        width: int,
        height: int = 900,
        scheme: Literal["light", "dark"] = "light",
        scale: float = 1,
    ) -> None:
        """Give the page a window of that size, and a colour scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])
        self.settle()

    def settle(self) -> None:
        """Wait until the page has been laid out and drawn anew."""
        two = "requestAnimationFrame(() => requestAnimationFrame(done))"
        self.run(f"new Promise((done) => {two}).then(() => 0)")

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        found = self.call(
            "Runtime.evaluate",
            expression=script,
            returnByValue=True,
            awaitPromise=True,
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def picture(self, path: Path, *, whole: bool = True, selector: str = "") -> None:
        """Write what is seen as a PNG.

        Args:
            path: The file.
            whole: All of the page, or what the window shows.
            selector: Only this element.
        """
        more: dict[str, Any] = {"captureBeyondViewport": whole}
        if selector:
            box = self.run(
                f"(({{x, y, width, height}}) => ({{x, y: y + scrollY, width, height}}))"
                f"(document.querySelector({selector!r}).getBoundingClientRect())"
            )
            more["clip"] = {**box, "scale": 1}
        found = self.call("Page.captureScreenshot", format="png", **more)
        path.write_bytes(base64.b64decode(found["data"]))

    # -- the protocol ------------------------------------------------------------

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and return its answer."""
        self._number += 1
        number = self._number
        command = {"id": number, "method": method, "params": arguments}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._write, json.dumps(command).encode() + b"\0")
        while True:
            message = self._take()
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                result: dict[str, Any] = message["result"]
                return result

    def _take(self) -> dict[str, Any]:
        """The next message; what events tell is noted."""
        while b"\0" not in self._buffer:
            more = os.read(self._read, 1 << 16)
            assert more, "Chromium has ended"
            self._buffer += more
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, event: str | None, told: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(told["exceptionDetails"]))
        elif event == "Log.entryAdded":
            self.errors.append(told["entry"]["text"])
        elif event == "Runtime.consoleAPICalled":
            self.errors.append(json.dumps(told["args"]))
