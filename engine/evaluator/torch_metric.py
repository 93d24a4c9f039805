"""Metrics of torchmetrics, which is an extra."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from engine.errors import MetricError, a_type
from engine.evaluator.library_metric import LibraryMetric
from engine.registry import METRICS

if TYPE_CHECKING:
    import torch

    from engine.typing import Plain

__all__ = ["TorchMetric", "is_torchmetrics"]


def is_torchmetrics(metric: object) -> bool:
    """Whether it is a metric, or a collection, of torchmetrics; imports nothing."""
    return any(
        f"{kind.__module__}.".startswith("torchmetrics.")
        and kind.__name__ in ("Metric", "MetricCollection")
        for kind in type(metric).__mro__
    )


@METRICS.register_module()
class TorchMetric(LibraryMetric):
    """Any metric of torchmetrics, or a ``MetricCollection``.

    It moves to the device of what it is first given.

    Args:
        metric: It.
        name: Of its value, if that is one; ``None``: by the metric's class.
        prefix: Put before each name as ``prefix/name``.
        output_transform: ``output_transform(data_samples)`` gives what ``update``
            takes: a tuple of its arguments, or a dict by their names; ``None``: what
            ``StepModel`` returned is taken apart.

    Raises:
        MetricError: ``metric`` is none of torchmetrics'.
    """

    def __init__(
        self,
        metric: Any,
        *,
        name: str | None = None,
        prefix: str | None = None,
        output_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if not is_torchmetrics(metric):
            msg = f"TorchMetric: metric is {a_type(metric)}, no torchmetrics.Metric"
            raise MetricError(msg)
        super().__init__(
            metric, name=name, prefix=prefix, output_transform=output_transform
        )
        self._is_placed = False  # on the device of what it is given

    def update(self, output: Any) -> None:
        """Let the metric see one batch."""
        if not self._is_placed:
            self._is_placed = True
            device = _device_in(output)
            if device is not None:
                self.metric.to(device)
        if isinstance(output, Mapping):
            self.metric.update(**output)
        elif isinstance(output, tuple):
            self.metric.update(*output)
        else:
            self.metric.update(output)

    def compute(self) -> Any:
        """What the metric computes."""
        with warnings.catch_warnings():
            if not self._updates:  # on this rank, and others have some
                warnings.filterwarnings("ignore", ".*was called before the ``update``")
            return self.metric.compute()

    def forget(self) -> None:
        """Begin anew."""
        self.metric.reset()
        self._is_placed = False

    def keeps_predictions(self) -> bool:
        """Whether one of its states is a list."""
        return any(
            isinstance(state, list)
            for _, one in self._metrics()
            for state in one.metric_state.values()
        )

    def memory(self) -> Plain:
        """What the metric, and those inside it, have gathered."""
        if hasattr(self.metric, "compute_groups"):
            dict(self.metric.items())  # those that share a state have it then
        return {
            name: {"states": dict(one.metric_state), "count": one._update_count}  # noqa: SLF001 - has no setter
            for name, one in self._metrics()
        }

    def remember(self, memory: Plain) -> None:
        """Go on from what :meth:`memory` gave."""
        self._is_placed = False  # a checkpoint's tensors lie anywhere
        for name, one in self._metrics():
            for state, value in memory[name]["states"].items():
                setattr(one, state, value)
            one._update_count = memory[name]["count"]  # noqa: SLF001 - has no setter
            one._computed = None  # noqa: SLF001 - of what it held before

    def _metrics(self) -> Iterator[tuple[str, Any]]:
        modules: Iterator[tuple[str, nn.Module]] = self.metric.named_modules()
        for name, module in modules:
            if "_update_count" in vars(module):  # a metric, not a collection of some
                yield name, module


def _device_in(output: Any) -> torch.device | None:
    if isinstance(output, Tensor):
        return output.device
    parts = output.values() if isinstance(output, Mapping) else output
    if not isinstance(parts, list | tuple) and not isinstance(output, Mapping):
        return None
    found = (_device_in(one) for one in parts)
    return next((one for one in found if one is not None), None)
