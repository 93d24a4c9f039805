"""The engine's own registries, one for each kind of part.

They hold classes and functions, nothing of a run. Each fills itself from its
``locations`` when a name is first looked up that nobody has registered yet.
"""

from __future__ import annotations

from engine.registry.names import SCOPE
from engine.registry.registry import Registry

__all__ = [
    "DATASETS",
    "DATA_SAMPLERS",
    "EVALUATOR",
    "FUNCTIONS",
    "HOOKS",
    "LOG_PROCESSORS",
    "LOOPS",
    "METRICS",
    "MODELS",
    "OPTIMIZERS",
    "OPTIM_WRAPPERS",
    "PARAM_SCHEDULERS",
    "TRANSFORMS",
    "VISBACKENDS",
    "VISUALIZERS",
]

LOOPS = Registry("loop", scope=SCOPE, locations=["engine.loops"])
HOOKS = Registry("hook", scope=SCOPE, locations=["engine.hooks"])
LOG_PROCESSORS = Registry("log processor", scope=SCOPE, locations=["engine.loops"])

MODELS = Registry("model", scope=SCOPE, locations=["engine.model"])

OPTIMIZERS = Registry("optimizer", scope=SCOPE, locations=["engine.optim"])
OPTIM_WRAPPERS = Registry("optim wrapper", scope=SCOPE, locations=["engine.optim"])
PARAM_SCHEDULERS = Registry("param scheduler", scope=SCOPE, locations=["engine.optim"])

DATASETS = Registry("dataset", scope=SCOPE, locations=["engine.dataset"])
DATA_SAMPLERS = Registry("data sampler", scope=SCOPE, locations=["engine.dataset"])
TRANSFORMS = Registry("transform", scope=SCOPE)
"""Transforms of samples; all are users' own."""
FUNCTIONS = Registry("function", scope=SCOPE, locations=["engine.dataset"])
"""Functions that a loader is given by name, such as the one that collates."""

METRICS = Registry("metric", scope=SCOPE, locations=["engine.evaluator"])
EVALUATOR = Registry("evaluator", scope=SCOPE, locations=["engine.evaluator"])

VISUALIZERS = Registry("visualizer", scope=SCOPE, locations=["engine.visualization"])
VISBACKENDS = Registry(
    "visualization backend", scope=SCOPE, locations=["engine.visualization"]
)
