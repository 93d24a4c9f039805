"""Metrics, and the evaluator that feeds them."""

from __future__ import annotations

from engine.evaluator.evaluator import Evaluator, get_metric_value
from engine.evaluator.metric import BaseMetric

__all__ = ["BaseMetric", "Evaluator", "get_metric_value"]
