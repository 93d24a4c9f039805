"""What an Ignite metric remembers inside an evaluation.

Ignite's metrics name the attributes that their ``state_dict`` holds. Some change others
too, and some name none; so what else changed since the evaluation began is saved as
well, as of our own metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import MetricError, SerializationError, a_type
from engine.evaluator.memory import digests, pack, unpack

if TYPE_CHECKING:
    from ignite.metrics import Metric

    from engine.typing import Plain

__all__ = ["IgniteMemory"]


class IgniteMemory:
    """Takes a metric's memory out and puts it back.

    Args:
        metric: Ignite's; it was reset just now.
    """

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._named = frozenset(metric._state_dict_all_req_keys)  # noqa: SLF001 - Ignite's own name for what it saves
        self._at_begin = digests(metric, self._named)

    @property
    def kind(self) -> str:
        """The metric's class."""
        return type(self.metric).__name__

    def state_dict(self) -> Plain:
        """What it has gathered since it was reset, as plain data.

        Raises:
            MetricError: Something in it cannot be saved, or not be looked into.
        """
        metric, now = self.metric, digests(self.metric, self._named)
        for name, found in now.items():
            if found is None:
                msg = (
                    f"{self.kind}: nobody can tell whether its {name}, "
                    f"{a_type(getattr(metric, name))}, changed"
                )
                raise MetricError(msg)
        more = [key for key in now if self._at_begin.get(key) != now[key]]
        try:
            return {
                "own": pack(dict(metric.state_dict()), f"{self.kind}.state_dict()")
                if self._named
                else None,
                "more": {
                    key: pack(vars(metric)[key], f"{self.kind}.{key}") for key in more
                },
            }
        except SerializationError as error:
            raise MetricError(str(error)) from error

    def load_state_dict(self, state_dict: Any, /) -> None:
        """Go on from what :meth:`state_dict` gave."""
        own, more = unpack(state_dict["own"]), unpack(state_dict["more"])
        if own is not None:
            self.metric.load_state_dict(own)
        vars(self.metric).update(more)
