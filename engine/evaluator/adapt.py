"""What goes where a metric goes."""

from __future__ import annotations

from typing import Any

from ignite.metrics import Metric

from engine.evaluator.ignite_metric import IgniteMetric
from engine.evaluator.metric import BaseMetric
from engine.evaluator.torch_metric import TorchMetric, is_torchmetrics

__all__ = ["as_metric", "is_library_class"]


def as_metric(metric: Any, **settings: Any) -> BaseMetric | None:
    """A metric of ours for one of Ignite's or torchmetrics'.

    Args:
        metric: One of these, or one of ours, which is returned as it is.
        settings: ``name``, ``prefix``, ``output_transform`` of a library's.

    Returns:
        ``None`` if it is none of them.

    Raises:
        MetricError: A setting is of the wrong kind.
    """
    if isinstance(metric, BaseMetric):
        return metric
    if isinstance(metric, Metric):
        return IgniteMetric(metric, **settings)
    if is_torchmetrics(metric):
        return TorchMetric(metric, **settings)
    return None


def is_library_class(kind: object) -> bool:
    """Whether a class is one of Ignite's metrics, or of torchmetrics'."""
    if not isinstance(kind, type):
        return False
    if issubclass(kind, Metric):
        return True
    return any(
        one.__module__.startswith("torchmetrics.")
        and one.__name__ in ("Metric", "MetricCollection")
        for one in kind.__mro__
    )
