"""Specs to finished parts, one function for each part."""

from engine.build.evaluation import build_evaluator
from engine.build.facilities import build_log_processor, build_visualizer
from engine.build.groups import GROUPS, check_groups, require_group
from engine.build.hooks import (
    DEFAULT_HOOKS,
    TERMINAL_HOOKS,
    build_hook,
    default_hooks,
)
from engine.build.loader import build_dataloader
from engine.build.loops import bounded_by_iters, build_eval_loop, build_train_loop
from engine.build.model import build_model, compile_model, unwrap, wrap_model
from engine.build.optim import build_optim_wrapper, build_param_schedulers
from engine.build.parts import Builder, RunParts
from engine.build.strategy import build_strategy

__all__ = [
    "DEFAULT_HOOKS",
    "GROUPS",
    "TERMINAL_HOOKS",
    "Builder",
    "RunParts",
    "bounded_by_iters",
    "build_dataloader",
    "build_eval_loop",
    "build_evaluator",
    "build_hook",
    "build_log_processor",
    "build_model",
    "build_optim_wrapper",
    "build_param_schedulers",
    "build_strategy",
    "build_train_loop",
    "build_visualizer",
    "check_groups",
    "compile_model",
    "default_hooks",
    "require_group",
    "unwrap",
    "wrap_model",
]
