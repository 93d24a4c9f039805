"""What a handler may see of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from engine.state.message_hub import MessageHub
    from engine.state.run_state import DueKind, RunState

__all__ = ["RunContext"]


class RunContext(Protocol):
    """The first argument of every hook method, called ``runner`` there.

    The Runner satisfies it, and so does the context of a ``TrainEngine`` that was
    composed in code. What only a Runner has, or what was not given to the engine, is a
    ``ContextError`` that says so; such attributes have the type ``Any`` here.
    """

    @property
    def state(self) -> RunState:
        """Where the run is."""

    @property
    def message_hub(self) -> MessageHub:
        """Scalars and facts of the run; ``state.hub``."""

    @property
    def epoch(self) -> int:
        """Index of the one in progress while its handlers run, else epochs done."""

    @property
    def iter(self) -> int:
        """Index of the one in progress while its handlers run, else iterations done."""

    @property
    def max_epochs(self) -> int:
        """Epochs to train; 1 in a run bounded by iterations."""

    @property
    def max_iters(self) -> int:
        """Iterations to train."""

    @property
    def rank(self) -> int:
        """This process's rank."""

    @property
    def work_dir(self) -> Path:
        """Folder of the run's files."""

    def stop(self, reason: str) -> None:
        """End training after the running epoch, or iteration if bounded by those."""

    def owe(self, kind: DueKind, owner: object, name: str = "") -> None:
        """Ask for something to be done at the next safe point, by ``owner.pay``."""

    def __getattr__(self, name: str) -> Any:
        """What this kind of run has beside: model, optim_wrapper, logger, ..."""
