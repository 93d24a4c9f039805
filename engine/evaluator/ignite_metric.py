"""Metrics of ``ignite.metrics``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ignite.engine import Engine, Events
from ignite.metrics import EpochMetric, Metric

from engine.errors import MetricError, a_type
from engine.evaluator.ignite_memory import IgniteMemory
from engine.evaluator.library_metric import LibraryMetric
from engine.registry import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.typing import Plain

__all__ = ["IgniteMetric"]


@METRICS.register_module()
class IgniteMetric(LibraryMetric):
    """Any metric of ``ignite.metrics``, also one that is made of others.

    A metric with an ``output_transform`` of its own gets the list of data samples as it
    is, as the validator's output in Ignite.

    Args:
        metric: It.
        name: Of its value, if that is one; ``None``: by the metric's class.
        prefix: Put before each name as ``prefix/name``.
        output_transform: ``output_transform(data_samples)`` gives what the metric
            takes; ``None``: what ``StepModel`` returned is taken apart.

    Raises:
        MetricError: ``metric`` is no metric of Ignite's.
    """

    def __init__(
        self,
        metric: Metric,
        *,
        name: str | None = None,
        prefix: str | None = None,
        output_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if not isinstance(metric, Metric):
            msg = f"IgniteMetric: metric is {a_type(metric)}, no ignite.metrics.Metric"
            raise MetricError(msg)
        super().__init__(
            metric, name=name, prefix=prefix, output_transform=output_transform
        )
        # It turns nothing: metrics made of others listen to its events.
        self._engine = Engine(lambda *_: None)
        metric.attach(self._engine, self.name)
        self.forget()

    def update(self, output: Any) -> None:
        """Let the metric see one batch."""
        self._engine.state.output = output
        self._engine.fire_event(Events.ITERATION_COMPLETED)
        self._engine.state.output = None

    def compute(self) -> Any:
        """What the metric computes."""
        self._engine.fire_event(Events.EPOCH_COMPLETED)
        return self._engine.state.metrics[self.name]

    def forget(self) -> None:
        """Begin anew."""
        self._engine.state.metrics = {}
        self._engine.fire_event(Events.STARTED)
        self._engine.fire_event(Events.EPOCH_STARTED)
        self._memory = IgniteMemory(self.metric)

    def keeps_predictions(self) -> bool:
        """Whether it is one of Ignite's that compute from all predictions."""
        return isinstance(self.metric, EpochMetric)

    def memory(self) -> Plain:
        """What the metric has gathered.

        Raises:
            MetricError: Something in it cannot be saved.
        """
        shown = dict(self._engine.state.metrics)  # of those that tell after each batch
        return {"metric": self._memory.state_dict(), "shown": shown}

    def remember(self, memory: Plain) -> None:
        """Go on from what :meth:`memory` gave."""
        self._memory.load_state_dict(memory["metric"])
        self._engine.state.metrics = dict(memory["shown"])

    def _taken_apart(self, data_samples: Sequence[Any]) -> list[Any]:
        transform = self.metric._output_transform  # noqa: SLF001 - Ignite hands it on to nobody
        if getattr(transform, "__module__", "").startswith("ignite."):  # its default
            return super()._taken_apart(data_samples)
        return [data_samples]
