"""Metrics, and the evaluator that feeds them."""

from __future__ import annotations

from engine.evaluator.dump_results import DumpResults
from engine.evaluator.evaluator import Evaluator, get_metric_value
from engine.evaluator.ignite_metric import IgniteMetric
from engine.evaluator.metric import BaseMetric
from engine.evaluator.torch_metric import TorchMetric

__all__ = [
    "BaseMetric",
    "DumpResults",
    "Evaluator",
    "IgniteMetric",
    "TorchMetric",
    "get_metric_value",
]
