"""The engine's own registries, one for each kind of part.

They hold classes and functions, nothing of a run. Each fills itself from its
``locations`` when a name is first looked up that nobody has registered yet.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from engine.registry.build import (
    build_model_from_cfg,
    build_runner_from_cfg,
    build_scheduler_from_cfg,
)
from engine.registry.names import SCOPE
from engine.registry.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = [
    "DATASETS",
    "DATA_SAMPLERS",
    "EVALUATOR",
    "FUNCTIONS",
    "HOOKS",
    "INFERENCERS",
    "LOG_PROCESSORS",
    "LOOPS",
    "METRICS",
    "MODELS",
    "MODEL_WRAPPERS",
    "OPTIMIZERS",
    "OPTIM_WRAPPERS",
    "OPTIM_WRAPPER_CONSTRUCTORS",
    "PARAM_SCHEDULERS",
    "ROOTS",
    "RUNNERS",
    "RUNNER_CONSTRUCTORS",
    "STRATEGIES",
    "TASK_UTILS",
    "TRANSFORMS",
    "VISBACKENDS",
    "VISUALIZERS",
    "WEIGHT_INITIALIZERS",
]

_ROOTS: dict[str, Registry] = {}


def _root(
    label: str,
    name: str,
    *locations: str,
    build_func: Callable[..., Any] | None = None,
) -> Registry:
    """A registry that knows the others, for the advice in its errors."""
    root = Registry(
        name, build_func, scope=SCOPE, locations=list(locations), family=_ROOTS
    )
    _ROOTS[label] = root
    return root


RUNNERS = _root("RUNNERS", "runner", "engine.runner", build_func=build_runner_from_cfg)
"""Runners; built from a whole config, whose ``runner_type`` names the class."""
RUNNER_CONSTRUCTORS = _root(
    "RUNNER_CONSTRUCTORS", "runner constructor", "engine.runner"
)
"""What makes a runner in a way of its own; all are users' own."""

LOOPS = _root("LOOPS", "loop", "engine.loops")
HOOKS = _root("HOOKS", "hook", "engine.hooks")
LOG_PROCESSORS = _root("LOG_PROCESSORS", "log processor", "engine.loops")
STRATEGIES = _root("STRATEGIES", "strategy", "engine.strategies")
"""How a model lies on the ranks."""

MODELS = _root("MODELS", "model", "engine.model", build_func=build_model_from_cfg)
"""Models and their parts; a list of specs makes them in a row."""
MODEL_WRAPPERS = _root("MODEL_WRAPPERS", "model wrapper", "engine.model")
WEIGHT_INITIALIZERS = _root("WEIGHT_INITIALIZERS", "weight initializer", "engine.model")
TASK_UTILS = _root("TASK_UTILS", "task util")
"""Parts of models that are none themselves, such as box coders; all are users' own."""

OPTIMIZERS = _root("OPTIMIZERS", "optimizer", "engine.optim")
OPTIM_WRAPPERS = _root("OPTIM_WRAPPERS", "optim wrapper", "engine.optim")
OPTIM_WRAPPER_CONSTRUCTORS = _root(
    "OPTIM_WRAPPER_CONSTRUCTORS", "optim wrapper constructor", "engine.optim"
)
PARAM_SCHEDULERS = _root(
    "PARAM_SCHEDULERS",
    "param scheduler",
    "engine.optim",
    build_func=build_scheduler_from_cfg,
)

DATASETS = _root("DATASETS", "dataset", "engine.dataset")
DATA_SAMPLERS = _root("DATA_SAMPLERS", "data sampler", "engine.dataset")
TRANSFORMS = _root("TRANSFORMS", "transform")
"""Transforms of samples; all are users' own."""
FUNCTIONS = _root("FUNCTIONS", "function", "engine.dataset")
"""Functions that a loader is given by name, such as the one that collates."""

METRICS = _root("METRICS", "metric", "engine.evaluator")
EVALUATOR = _root("EVALUATOR", "evaluator", "engine.evaluator")
INFERENCERS = _root("INFERENCERS", "inferencer")
"""What applies a trained model to single inputs; all are users' own."""

VISUALIZERS = _root("VISUALIZERS", "visualizer", "engine.visualization")
VISBACKENDS = _root("VISBACKENDS", "visualization backend", "engine.visualization")

ROOTS: Mapping[str, Registry] = MappingProxyType(_ROOTS)
"""All of them, by the names that they are imported under."""
