"""What runs in loader workers beside the dataset: how they begin, what they send."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen
from torch.utils.data import get_worker_info

from engine.dataset.worker_signals import leave_signals
from engine.typing import Stateful

if TYPE_CHECKING:
    from engine.typing import Plain

__all__ = ["Shipping", "WorkerStart", "freeze", "thaw"]


def freeze(state: Plain) -> bytes:
    """A state as it is now, whatever its owner does next; bytes are not pinned."""
    return pickle.dumps(state)


def thaw(frozen_state: bytes) -> Plain:
    """What :func:`freeze` froze, in this process or in a worker of it."""
    return pickle.loads(frozen_state)  # noqa: S301 - from our own worker's pipe


@define
class WorkerStart:
    """The inner loader's ``worker_init_fn``.

    Args:
        dataset: The user's; a worker's info names it, not our wrapper around it, so
            that the user's own functions find what they expect.
        users: The user's ``worker_init_fn``.
        states: By worker, the state that its copy of the dataset begins with.
    """

    dataset: Any
    users: Callable[[int], Any] | None
    states: Mapping[int, bytes] = field(factory=dict)

    def __call__(self, worker_id: int) -> None:
        """Run in a worker that was just started."""
        leave_signals()
        # Past the frozen record: torch has no way to say it.
        object.__setattr__(get_worker_info(), "dataset", self.dataset)
        if self.users is not None:
            self.users(worker_id)
        if worker_id in self.states:
            self.dataset.load_state_dict(thaw(self.states[worker_id]))


@frozen
class Shipping:
    """A collate function that sends a state along with each batch.

    Args:
        collate: The user's.
        memory: Whose state; in a worker that is the worker's own copy.
    """

    collate: Callable[[Any], Any]
    memory: Stateful

    def __call__(self, samples: Any) -> tuple[Any, int, bytes]:
        """The batch, the worker that made it, and the state right after it."""
        info = get_worker_info()
        worker = 0 if info is None else info.id
        return self.collate(samples), worker, freeze(self.memory.state_dict())
