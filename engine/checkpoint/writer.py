"""Writes in the background: one job at a time, in order, and no error is lost."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Writer"]


class Writer:
    """Runs jobs in a thread, one in flight.

    The thread lives as long as its job. The interpreter's exit waits for it, so a job
    that was begun is done unless the process is killed.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self._thread is not None and self._thread.is_alive()

    def submit(self, job: Callable[[], None]) -> None:
        """Run a job in the background, after waiting for the last one.

        Args:
            job: Must not touch what training changes.

        Raises:
            BaseException: What the last job raised; this one is not begun.
        """
        self.wait()
        self._thread = threading.Thread(
            target=self._run, args=(job,), name="checkpoint-writer", daemon=False
        )
        self._thread.start()

    def check(self) -> None:
        """Raise what a finished job raised, once; does not wait."""
        if self._thread is not None and not self._thread.is_alive():
            self._thread.join()
            self._thread = None
        if self._thread is None and self._error is not None:
            error, self._error = self._error, None
            raise error

    def wait(self) -> None:
        """Wait for the job in flight; raise what it raised, once."""
        if self._thread is not None:
            self._thread.join()
        self.check()

    def _run(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001  # raised in the main thread
            self._error = error
