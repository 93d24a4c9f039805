"""Evaluators from their specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import ConfigError, a_type
from engine.evaluator import BaseMetric, Evaluator
from engine.registry import EVALUATOR, METRICS

__all__ = ["build_evaluator"]


def build_evaluator(evaluator: Any, where: str = "evaluator") -> Any:
    """An evaluator from a spec, a metric, or several; a finished one passes through.

    Args:
        evaluator: An ``Evaluator``, a metric, a spec of a metric, a list of metrics and
            specs, or a mapping with ``metrics`` (and a ``type`` of evaluator).
        where: What messages call it.

    Raises:
        ConfigError: It is none of these.
    """
    if isinstance(evaluator, Evaluator):
        return evaluator
    if isinstance(evaluator, Mapping) and "metrics" in evaluator:
        spec = {"type": "Evaluator", **evaluator}
        metrics = _build_metrics(spec.pop("metrics"), where)
        return EVALUATOR.build(spec, metrics=metrics)
    return Evaluator(_build_metrics(evaluator, where))


def _build_metrics(metrics: Any, where: str) -> list[BaseMetric]:
    if not isinstance(metrics, Sequence):
        metrics = [metrics]
    built = []
    for index, metric in enumerate(metrics):
        one = METRICS.build(metric) if isinstance(metric, Mapping) else metric
        if not isinstance(one, BaseMetric):
            message = (
                f"{where}[{index}]: expected a BaseMetric or a spec of one, found "
                f"{a_type(one)}"
            )
            raise ConfigError(message)
        built.append(one)
    return built
