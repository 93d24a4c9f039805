"""What the ranks of a run tell each other beside their work.

It goes over a gloo group of its own: the device is neither waited for nor used, and
what is said never gets between the reductions of gradients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import distributed

from engine.dist.context import get_rank, get_world_size
from engine.dist.meeting import making_a_group
from engine.errors import EngineError, RankFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

__all__ = [
    "Exchange",
    "any_rank",
    "control_group",
    "gather_on_all",
    "gather_on_main",
    "on_main",
    "sum_over_ranks",
]

T = TypeVar("T")

# Of torch's default group, which is the process's own: it goes when that one does.
_GROUPS: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def control_group() -> Any:
    """The gloo group of all ranks; ``None`` for a process alone.

    The first call makes it, on all ranks at once; it has the default group's timeout.
    """
    if get_world_size() == 1:
        return None
    whole = distributed.group.WORLD
    group = _GROUPS.get(whole)
    if group is None:
        with making_a_group():
            group = distributed.new_group(backend="gloo", timeout=_timeout(whole))
        _GROUPS[whole] = group
    return group


def _timeout(group: Any) -> timedelta | None:
    """How long a group's collectives wait; ``None``: torch's default."""
    for device in ("cpu", "cuda"):
        try:
            backend = group._get_backend(torch.device(device))  # noqa: SLF001  # no other way
        except RuntimeError:  # it has none for that device
            continue
        timeout: timedelta = backend.options._timeout  # noqa: SLF001
        return timeout
    return None


def on_main(function: Callable[[], T]) -> T:
    """What a function returns on rank 0, on all ranks; only rank 0 calls it.

    All ranks wait until it is done.

    Args:
        function: Its result is pickled for the others.

    Raises:
        EngineError: The function raised it, on rank 0; it is raised on all ranks.
        RankFailedError: On the other ranks, if it raised another error on rank 0, where
            that is raised.
    """
    group = control_group()
    if group is None:
        return function()
    told: list[Any] = [None, None]
    if get_rank() == 0:
        try:
            told[1] = function()
        except BaseException as error:
            ours = isinstance(error, EngineError)
            told[0] = error if ours else f"{type(error).__name__}: {error}"
            distributed.broadcast_object_list(told, src=0, group=group)
            raise
    distributed.broadcast_object_list(told, src=0, group=group)
    if isinstance(told[0], EngineError):
        raise told[0]
    if told[0] is not None:
        failure = RankFailedError(f"rank 0 failed: {told[0]}")
        failure.ranks, failure.told = (0,), True
        raise failure
    result: T = told[1]
    return result


def gather_on_main(value: Any, group: Any = None) -> list[Any] | None:
    """Each rank's value, in the order of ranks, on rank 0; elsewhere ``None``.

    Args:
        value: This rank's; it is pickled, tensors too.
        group: Process group of all ranks with a CPU backend; ``None``: that of
            :func:`control_group`, which a thread beside the run must leave alone.
    """
    group = control_group() if group is None else group
    if group is None:
        return [value]
    gathered = [None] * get_world_size() if get_rank() == 0 else None
    distributed.gather_object(value, gathered, dst=0, group=group)
    return gathered


def gather_on_all(value: Any) -> list[Any]:
    """Each rank's value, in the order of ranks, on all ranks.

    Args:
        value: This rank's; it is pickled.
    """
    group = control_group()
    if group is None:
        return [value]
    gathered: list[Any] = [None] * get_world_size()
    distributed.all_gather_object(gathered, value, group=group)
    return gathered


def any_rank(flags: torch.Tensor) -> torch.Tensor:
    """Flags that are set where they are on any rank.

    Args:
        flags: Booleans, of one shape on all ranks.

    Returns:
        On the CPU.
    """
    group = control_group()
    if group is None:
        return flags.cpu()
    found = flags.to("cpu", torch.uint8)
    distributed.all_reduce(found, distributed.ReduceOp.MAX, group=group)
    return found.bool()


def sum_over_ranks(numbers: Sequence[int]) -> list[int]:
    """Sums over all ranks, which wait for each other.

    Args:
        numbers: This rank's; as many on all.
    """
    group = control_group()
    if group is None:
        return list(numbers)
    sums = torch.tensor(numbers, dtype=torch.int64)
    distributed.all_reduce(sums, group=group)
    found: list[int] = sums.tolist()
    return found


class Exchange:
    """Sums a few small numbers over all ranks while they go on with their work.

    Each rank starts the same exchanges in the same order.

    Args:
        group: As :func:`control_group` gave it.
        size: How many numbers.
    """

    def __init__(self, group: Any, size: int) -> None:
        self._group = group
        self._sums = torch.zeros(size, dtype=torch.int32)
        self._work: Any = None

    def start(self, counts: Sequence[int]) -> None:
        """Give this rank's numbers; the last exchange is waited for first."""
        self.result()
        self._sums = torch.tensor(counts, dtype=torch.int32)
        self._work = distributed.all_reduce(
            self._sums, group=self._group, async_op=True
        )

    def result(self) -> list[int]:
        """The sums of what was started last; waits for the slowest rank."""
        if self._work is not None:
            self._work.wait()
            self._work = None
        sums: list[int] = self._sums.tolist()
        return sums
