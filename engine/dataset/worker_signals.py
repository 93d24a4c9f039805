"""Loader processes that leave signals to the run.

Ctrl-C at a terminal, and most schedulers, send a signal to every process of a job. The
run stops in good order on it, and until then needs its loader.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attrs import frozen
from torch.utils.data import DataLoader

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LeaveSignals", "leave_signals", "signals_held", "signals_left"]

_LEFT = {
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1")
    if hasattr(signal, name)
}


def leave_signals() -> None:
    """Let this process, a loader's worker, leave signals to the run."""
    ignored = _LEFT - {signal.SIGTERM}
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        # The loader ends a worker that hangs by SIGTERM: who sent it matters, and a
        # handler is not told.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ignored)
        threading.Thread(target=_heed_the_loader, daemon=True).start()
    else:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


@frozen
class LeaveSignals:
    """A ``worker_init_fn`` after which the worker leaves signals to the run.

    Args:
        then: The user's, called with the worker's number; ``None``: none.
    """

    then: Callable[[int], Any] | None = None

    def __call__(self, worker: int) -> None:
        """Begin a worker."""
        leave_signals()
        if self.then is not None:
            self.then(worker)


def _heed_the_loader() -> None:
    while True:
        told = signal.sigwaitinfo({signal.SIGTERM})
        if told.si_pid == os.getppid():
            os._exit(0)


@contextmanager
def signals_held() -> Iterator[None]:
    """Signals that come while the body starts workers wait until it is done.

    A process begins with what its parent holds back: so none of them ends a worker
    before it can leave them to the run.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def signals_left(data: Any) -> Iterator[None]:
    """Workers that a loader starts while the body runs leave signals to the run.

    Args:
        data: A loader, whose settings are as they were afterwards; nothing is done to
            other data.
    """
    if not isinstance(data, DataLoader) or not data.num_workers:
        yield
        return
    users = data.worker_init_fn
    data.worker_init_fn = LeaveSignals(users)
    try:
        yield
    finally:
        data.worker_init_fn = users
