"""Hooks from their specs, defaults first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, a_type, did_you_mean
from engine.registry import HOOKS

if TYPE_CHECKING:
    from engine.hooks import Hook

__all__ = ["DEFAULT_HOOKS", "TERMINAL_HOOKS", "build_hook", "default_hooks"]

DEFAULT_HOOKS: Mapping[str, Mapping[str, Any]] = {
    "runtime_info": {"type": "RuntimeInfoHook"},
    "timer": {"type": "IterTimerHook"},
    "sampler_seed": {"type": "DistSamplerSeedHook"},
    "logger": {"type": "LoggerHook"},
    "param_scheduler": {"type": "ParamSchedulerHook"},
    "checkpoint": {"type": "CheckpointHook", "interval": 1},
}
"""The hooks of every Runner, by the name that ``default_hooks`` changes them by."""

TERMINAL_HOOKS: Mapping[str, Mapping[str, Any]] = {
    "progress": {"type": "ProgressBarHook"},
}
"""Those that a Runner has beside them where somebody watches on a terminal."""


def default_hooks(
    changes: Mapping[str, Any] | None, *, on_terminal: bool = False
) -> Iterator[tuple[str, Any]]:
    """The default hooks with a user's changes, as (name, hook or spec).

    Args:
        changes: By name: a hook or a spec that takes its place, a mapping without
            ``type`` that changes the default's arguments, or ``None`` to remove it.
            Names of no default are added.
        on_terminal: Whether :data:`TERMINAL_HOOKS` are among the defaults. Elsewhere
            changes to their arguments are of no effect.

    Raises:
        ConfigError: ``changes`` is no mapping, or a new name has a mapping without
            ``type``.
    """
    changes = {} if changes is None else changes
    if not isinstance(changes, Mapping):
        message = (
            "default_hooks: expected a mapping of names to hooks or specs, found "
            f"{a_type(changes)}"
        )
        raise ConfigError(message)
    known = {**DEFAULT_HOOKS, **TERMINAL_HOOKS}
    for name, default in known.items():
        change = changes.get(name, default)
        if change is None:
            continue
        only_there = name in TERMINAL_HOOKS and not on_terminal
        if only_there and isinstance(change, Mapping) and "type" not in change:
            continue
        if only_there and change is default:
            continue
        if isinstance(change, Mapping) and "type" not in change:
            change = {**default, **change}
        yield name, change
    for name, extra in changes.items():
        if name in known or extra is None:
            continue
        if isinstance(extra, Mapping) and "type" not in extra:
            message = (
                f"default_hooks[{name!r}]: no default has this name, so it needs a "
                f"'type'.{did_you_mean(name, known)}"
            )
            raise ConfigError(message)
        yield name, extra


def build_hook(hook: Any, where: str) -> tuple[Hook, Any]:
    """A hook and its priority; a spec may name the priority beside the arguments.

    Args:
        hook: A hook, or a spec.
        where: What messages call it.

    Returns:
        The hook, and the priority or ``None`` for the hook's own.

    Raises:
        ConfigError: It is neither.
    """
    if isinstance(hook, Mapping):
        spec = dict(hook)
        priority = spec.pop("priority", None)
        return HOOKS.build(spec), priority
    if isinstance(hook, Sequence) and not isinstance(hook, str):
        message = f"{where}: expected one hook or spec, found a list"
        raise ConfigError(message)
    return hook, None
