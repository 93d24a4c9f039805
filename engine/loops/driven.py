"""Runs that a loop of the user's turns: what it calls by name becomes our events.

MMEngine's loops are loops in Python: they iterate their loader, call the model, and
announce each stage with ``runner.call_hook("before_train_iter", ...)``. While such a
loop drives an engine, those calls do what the engine does when Ignite turns it: count,
run the handlers of the event, pay what is due at safe points. So a loop of one's own is
saved, stopped and resumed like ours.

A run that is to end inside a loop that drives is left by :class:`Leave`, raised from
the loop's next call.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from engine.dataset import signals_held
from engine.errors import HookError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["Driven", "DrivenData", "Leave"]


class Leave(BaseException):
    """The run ends, or halts, here: leaves a loop that drives it.

    No ``Exception``: a loop's ``except Exception`` must not keep it.
    """


class Driven:
    """What an engine needs to be driven by calls by name."""

    driving: bool = False
    """Whether a loop of the user's drives this engine now."""

    @abstractmethod
    def _calls(self) -> Mapping[str, Callable[..., None]]:
        """What is done for each name that a loop may call."""

    def take_call(self, name: str, given: Mapping[str, Any]) -> bool:
        """Take a loop's call for the event that it stands for.

        Args:
            name: Such as ``"before_train_iter"``.
            given: What hooks would get, beside the runner, by name.

        Returns:
            Whether it is an event of this engine, and a loop drives it.

        Raises:
            HookError: The event is called with other arguments.
        """
        act = self._calls().get(name) if self.driving else None
        if act is None:
            return False
        known = _ARGUMENTS[name.rpartition("_")[2]]
        for key in given:
            if key not in known:
                message = (
                    f"call_hook({name!r}): takes {', '.join(known) or 'no arguments'}, "
                    f"found {key!r}"
                )
                raise HookError(message)
        act(**given)
        return True


_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "iter": ("batch_idx", "data_batch", "outputs"),
    "epoch": ("metrics",),
    **dict.fromkeys(("train", "val", "test"), ()),
}


class DrivenData:
    """The loader as a driving loop sees it: it begins at the run's place in the data.

    Args:
        feed: The batches that are left of the running pass, whenever it is iterated.
        data: The loader, whose length and attributes this has.
        ends: Whether the epoch is to end, asked after each batch.
    """

    def __init__(
        self, feed: Iterable[Any], data: Any, ends: Callable[[], bool]
    ) -> None:
        self._feed = feed
        self._data = data
        self._ends = ends

    def __iter__(self) -> Iterator[Any]:
        if self._ends():
            return
        with signals_held():  # it may start workers
            batches = iter(self._feed)
        for batch in batches:
            yield batch
            if self._ends():
                return

    def __len__(self) -> int:
        return len(self._data)

    def __getattr__(self, name: str) -> Any:
        if name == "_data":  # not there yet: copying asks early
            raise AttributeError(name)
        return getattr(self._data, name)
