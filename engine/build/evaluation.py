"""Evaluators from their specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import ignite.metrics

from engine.errors import ConfigError, UnknownNameError, a_type, did_you_mean
from engine.evaluator import BaseMetric, Evaluator
from engine.evaluator.adapt import as_metric, is_library_class
from engine.registry import EVALUATOR, METRICS

__all__ = ["build_evaluator"]


def build_evaluator(evaluator: Any, where: str = "evaluator") -> Any:
    """An evaluator from a spec, a metric, or several; a finished one passes through.

    Args:
        evaluator: An ``Evaluator``, a metric, a spec or name of a metric, a list of
            these, or a mapping with ``metrics`` (and a ``type`` of evaluator). Metrics
            of ``ignite.metrics`` and torchmetrics go where ours go; their specs take
            ``name``, ``prefix`` and ``output_transform`` beside the metric's own.
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
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        metrics = [metrics]
    built = []
    for index, metric in enumerate(metrics):
        spec = {"type": metric} if isinstance(metric, str) else metric
        one = _build_metric(spec) if isinstance(spec, Mapping) else as_metric(spec)
        if one is None:
            message = (
                f"{where}[{index}]: expected a BaseMetric, a metric of ignite.metrics "
                f"or torchmetrics, or a spec of one, found {a_type(metric)}"
            )
            raise ConfigError(message)
        built.append(one)
    return built


def _build_metric(spec: Mapping[str, Any]) -> BaseMetric | None:
    kind = _find(spec.get("type"))
    given = {**spec, "type": kind}
    if isinstance(given.get("metric"), Mapping):  # of IgniteMetric and TorchMetric
        inner = dict(given["metric"])
        given["metric"] = METRICS.build({**inner, "type": _find(inner.get("type"))})
    settings = {}
    if is_library_class(kind):
        names = ("name", "prefix", "output_transform")
        settings = {name: given.pop(name) for name in names if name in given}
    return as_metric(METRICS.build(given), **settings)


def _find(kind: Any) -> Any:
    """The class that a spec names: ours, the user's, or a library's."""
    if not isinstance(kind, str):
        return kind
    if kind.startswith("torchmetrics.") and find_spec("torchmetrics") is None:
        message = (
            f"{kind}: torchmetrics is not installed. It is an extra: "
            "pip install 'ignite-runner[torchmetrics]'"
        )
        raise ConfigError(message)
    try:
        return METRICS.get(kind)
    except UnknownNameError as error:
        theirs = None if "." in kind else getattr(ignite.metrics, kind, None)
        if theirs is None:
            _say_where_it_is(kind, error)
            raise
        return theirs


def _say_where_it_is(kind: str, error: UnknownNameError) -> None:
    """Add to an error which library's metric may be meant."""
    if "." in kind:
        return
    near = did_you_mean(kind, ignite.metrics.__all__)
    if near:
        error.add_note(f"Among those of ignite.metrics:{near}")
    if find_spec("torchmetrics") is None:
        return
    for module in ("torchmetrics", "torchmetrics.classification"):
        if hasattr(import_module(module), kind):
            error.add_note(
                f"Write its path, if torchmetrics' is meant: {module}.{kind}"
            )
            return
