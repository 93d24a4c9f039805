"""What an Ignite metric remembers inside an evaluation.

Ignite's metrics have a ``state_dict``, but not each of them names all that it changes,
and lists that grow are not taken back. So what changed since the evaluation began is
saved, as of our own metrics; of metrics made of others, what those changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ignite.engine import Engine
from ignite.metrics import Metric

from engine.errors import MetricError, SerializationError, a_type
from engine.evaluator.memory import digests, pack, unpack

if TYPE_CHECKING:
    from engine.typing import Plain

__all__ = ["IgniteMemory"]


class IgniteMemory:
    """Takes a metric's memory out and puts it back.

    Args:
        metric: Ignite's; it was reset just now.
    """

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        inside = {name: _metrics_in(value) for name, value in vars(metric).items()}
        self.parts = [IgniteMemory(one) for some in inside.values() for one in some]
        engines = {name for name, value in vars(metric).items() if _is_engine(value)}
        self._left_out = frozenset(
            engines.union(name for name, some in inside.items() if some)
        )
        self._at_begin = digests(metric, self._left_out)

    @property
    def kind(self) -> str:
        """The metric's class."""
        return type(self.metric).__name__

    def state_dict(self) -> Plain:
        """What it has gathered since it was reset, as plain data.

        Raises:
            MetricError: Something in it cannot be saved, or not be looked into.
        """
        metric, now = self.metric, digests(self.metric, self._left_out)
        for name, found in now.items():
            if found is None:
                msg = (
                    f"{self.kind}: nobody can tell whether its {name}, "
                    f"{a_type(getattr(metric, name))}, changed"
                )
                raise MetricError(msg)
        more = [key for key in now if self._at_begin.get(key) != now[key]]
        try:
            changed = {
                key: pack(vars(metric)[key], f"{self.kind}.{key}") for key in more
            }
        except SerializationError as error:
            raise MetricError(str(error)) from error
        return {"changed": changed, "parts": [one.state_dict() for one in self.parts]}

    def load_state_dict(self, state_dict: Any, /) -> None:
        """Go on from what :meth:`state_dict` gave."""
        vars(self.metric).update(unpack(state_dict["changed"]))
        for one, saved in zip(self.parts, state_dict["parts"], strict=True):
            one.load_state_dict(saved)


def _is_engine(value: Any) -> bool:
    """Whether it is what a metric made of others is attached to."""
    return isinstance(value, Engine)


def _metrics_in(value: Any) -> list[Metric]:
    """The metrics that an attribute holds: it is one, or a container of some."""
    if isinstance(value, Metric):
        return [value]
    if isinstance(value, Mapping):
        return [one for one in value.values() if isinstance(one, Metric)]
    if isinstance(value, list | tuple):
        return [one for one in value if isinstance(one, Metric)]
    return []
