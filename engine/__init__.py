"""An event-driven training engine on an explicit state machine.

Names are imported when they are first used, so that ``import engine`` and the command
line's ``--help`` do not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine.version import __version__

if TYPE_CHECKING:
    from engine.config import Config, ConfigDict, read_base
    from engine.errors import EngineError
    from engine.evaluator import BaseMetric, Evaluator
    from engine.events import Events, Priority
    from engine.hooks import CheckpointHook, Hook
    from engine.loops import EvalEngine, TrainEngine
    from engine.model import BaseModel, StepModel
    from engine.optim import OptimWrapper
    from engine.registry import (
        DATASETS,
        HOOKS,
        LOOPS,
        METRICS,
        MODELS,
        Registry,
    )
    from engine.runner import Runner
    from engine.state import MessageHub, Phase, RunState

_HOMES = {
    "DATASETS": "engine.registry",
    "HOOKS": "engine.registry",
    "LOOPS": "engine.registry",
    "METRICS": "engine.registry",
    "MODELS": "engine.registry",
    "BaseMetric": "engine.evaluator",
    "BaseModel": "engine.model",
    "CheckpointHook": "engine.hooks",
    "Config": "engine.config",
    "ConfigDict": "engine.config",
    "EngineError": "engine.errors",
    "EvalEngine": "engine.loops",
    "Evaluator": "engine.evaluator",
    "Events": "engine.events",
    "Hook": "engine.hooks",
    "MessageHub": "engine.state",
    "OptimWrapper": "engine.optim",
    "Phase": "engine.state",
    "Priority": "engine.events",
    "Registry": "engine.registry",
    "RunState": "engine.state",
    "Runner": "engine.runner",
    "StepModel": "engine.model",
    "TrainEngine": "engine.loops",
    "read_base": "engine.config",
}

__all__ = [
    "DATASETS",
    "HOOKS",
    "LOOPS",
    "METRICS",
    "MODELS",
    "BaseMetric",
    "BaseModel",
    "CheckpointHook",
    "Config",
    "ConfigDict",
    "EngineError",
    "EvalEngine",
    "Evaluator",
    "Events",
    "Hook",
    "MessageHub",
    "OptimWrapper",
    "Phase",
    "Priority",
    "Registry",
    "RunState",
    "Runner",
    "StepModel",
    "TrainEngine",
    "__version__",
    "read_base",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module 'engine' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # the next use finds it at once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
