"""Which run is running, for users' code that asks from anywhere.

The engine itself passes objects and never asks. Like the default scope, the answer
belongs to the context (:mod:`contextvars`): two runs side by side in two threads or
tasks do not see each other's, and a thread that is started afresh sees none.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Instances", "running", "running_run"]

T = TypeVar("T")

_RUNNING: ContextVar[Any] = ContextVar("engine_running_run", default=None)


@contextmanager
def running(run: Any) -> Iterator[None]:
    """Let ``run``, what hooks get as ``runner``, be the running one in the body."""
    token = _RUNNING.set(run)
    try:
        yield
    finally:
        _RUNNING.reset(token)


def running_run() -> Any:
    """The run that is being built or that runs in this context, or ``None``.

    >>> with running("a run"):
    ...     running_run()
    'a run'
    """
    return _RUNNING.get()


class Instances(Generic[T]):
    """Objects by name, made when first asked for; each context has its own.

    Args:
        what: What they are, to tell apart several of these.

    >>> lists = Instances("lists")
    >>> lists.get("a", list) is lists.get("a", list)
    True
    >>> lists.newest() is lists.get("a", list), "b" in lists
    (True, False)
    """

    def __init__(self, what: str) -> None:
        self._made: ContextVar[tuple[tuple[str, T], ...]] = ContextVar(
            f"engine_instances_of_{what}", default=()
        )

    def get(self, name: str, make: Any) -> T:
        """The one of that name; ``make()`` makes it if there is none."""
        for known, one in self._made.get():
            if known == name:
                return one
        new: T = make()
        self._made.set((*self._made.get(), (name, new)))
        return new

    def newest(self) -> T | None:
        """The one that was made last, if there is one."""
        made = self._made.get()
        return made[-1][1] if made else None

    def __contains__(self, name: str) -> bool:
        return any(known == name for known, _ in self._made.get())
