"""Hooks to handlers: which methods of a hook go on which event of which engine."""

from __future__ import annotations

import functools
import inspect
import warnings
from difflib import get_close_matches
from typing import TYPE_CHECKING

from engine.errors import HookError, a_type
from engine.hooks.hook import Hook, overrides
from engine.hooks.points import POINTS, Point

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.events import Bus, Handle, Priority

__all__ = ["HookNameWarning", "check_names", "register"]


class HookNameWarning(UserWarning):
    """A hook's method nearly names an event, but names none."""


_GENERAL = {name for point in POINTS.values() for name in point.general}


def register(
    hook: Hook,
    bus: Bus,
    mode: str,
    context: object,
    priority: int | str | Priority,
) -> list[Handle]:
    """Put a hook's methods for one engine on that engine's bus.

    Args:
        hook: The hook.
        bus: The engine's.
        mode: The engine's: ``train``, ``val`` or ``test``.
        context: What the methods get as ``runner``.
        priority: When they run among the others.

    Returns:
        Handles that take them off again.

    Raises:
        HookError: A method does not take what its event gives.
    """
    # All are looked at before the first is added: a refused hook leaves nothing behind.
    calls = {
        name: _adapt(hook, name, POINTS[name]) for name in hook.get_triggered_stages()
    }
    handles = []
    for name, call in calls.items():
        point = POINTS[name]
        if point.mode not in (mode, "run"):
            continue
        handle = bus.add(
            point.event,
            call,
            priority=priority,
            name=f"{type(hook).__name__}.{name}",
            args=None if point.arguments else (context,),
            original=getattr(hook, name),
        )
        handles.append(handle)
    return handles


def check_names(hook: Hook) -> None:
    """Warn of methods that nearly name an event but name none, and of non-methods.

    Raises:
        HookError: A point's name holds something that cannot be called.
    """
    known = [*POINTS, *_GENERAL]
    for name in dir(type(hook)):
        if not name.startswith(("before_", "after_", "on_")) or name in known:
            continue
        near = get_close_matches(name, known, n=1, cutoff=0.85)
        if near and callable(getattr(hook, name)):
            warnings.warn(
                f"{type(hook).__name__}.{name} names no event, so the engine never "
                f"calls it. Did you mean {near[0]!r}? If it is a point of your own, "
                f"reach it by runner.call_hook({name!r}).",
                HookNameWarning,
                stacklevel=4,
            )
    for name in known:
        if not callable(getattr(hook, name)):
            found = a_type(getattr(hook, name))
            message = (
                f"{type(hook).__name__}.{name} is {found}: the name belongs to an "
                "event's method. Rename the attribute."
            )
            raise HookError(message)


def _adapt(hook: Hook, name: str, point: Point) -> Callable[..., object]:
    """The bound method as a callable of (runner, *arguments) by position.

    Arguments are passed by name, as MMEngine does it, where the method has them in
    another order or takes ``**kwargs``.
    """
    method: Callable[..., object] = getattr(hook, name)
    wanted = point.arguments
    general = next((one for one in point.general if overrides(hook, one)), None)
    if general is not None and not overrides(hook, name):
        # What the base would do, in one call.
        method = getattr(hook, general)
        if general.startswith("_"):
            method = functools.partial(method, mode=point.mode)
        if name.endswith("_epoch"):
            wanted = ()  # metrics are for after_val_epoch and after_test_epoch alone
    try:
        parameters = list(inspect.signature(method).parameters.values())
    except ValueError:  # a callable without a signature: trust its author
        return method
    positional = [
        one.name
        for one in parameters
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    in_order = tuple(positional[1 : len(wanted) + 1]) == wanted or any(
        one.kind is one.VAR_POSITIONAL for one in parameters
    )
    if in_order and wanted == point.arguments:
        return method
    try:
        inspect.signature(method).bind(None, **dict.fromkeys(wanted))
    except TypeError as error:
        message = (
            f"{type(hook).__name__}.{name}{inspect.signature(method)} is called as "
            f"{name}({', '.join(['runner', *wanted])}): {error}"
        )
        raise HookError(message) from error

    def by_name(runner: object, *values: object) -> object:
        return method(runner, **dict(zip(wanted, values, strict=False)))

    return by_name
