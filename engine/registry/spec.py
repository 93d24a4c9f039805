"""Whether a spec is one, and fits what it is for, asked before anything is called."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from inspect import Parameter
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["SCOPE_KEY", "check_arguments", "check_spec", "unshared"]

SCOPE_KEY = "_scope_"
"""Key of a spec that names the scope to build it, and what is in it, in."""


BY_NAME = frozenset({Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY})
VARIADIC = frozenset({Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD})


def check_spec(spec: object, defaults: Mapping[str, Any], *, kind: str) -> None:
    """Raise unless ``spec`` is a mapping with ``type`` that leaves ``defaults`` alone.

    Args:
        spec: What a user gave.
        defaults: What the run passes beside it, by name.
        kind: What it should describe, in the singular; starts the message.

    Raises:
        ConfigError: It is no spec, or has a key that ``defaults`` have too.

    >>> check_spec({"type": "LoggerHook", "interval": 5}, {"store": None}, kind="hook")
    """
    if not isinstance(spec, Mapping):
        message = (
            f"{kind}: a spec is a mapping with 'type', found {spec!r} "
            f"({type(spec).__name__}). Write {{'type': ...}}."
        )
        raise ConfigError(message)
    if "type" not in spec:
        message = (
            f"{kind}: a spec needs 'type', found only {_listed(spec)}. Name a "
            f"registered {kind}, a class, or a dotted path."
        )
        raise ConfigError(message)
    built = spec["type"]
    if not isinstance(built, str) and not callable(built):
        message = (
            f"{kind}: 'type' must be a name, a callable, or a dotted path, "
            f"found {built!r} ({type(built).__name__})."
        )
        raise ConfigError(message)
    scope = spec.get(SCOPE_KEY)
    if scope is not None and not (isinstance(scope, str) and scope):
        message = (
            f"{kind}: {SCOPE_KEY!r} must name a scope, found {scope!r} "
            f"({type(scope).__name__})."
        )
        raise ConfigError(message)
    for key in spec:
        if not isinstance(key, str):
            message = (
                f"{kind}: the keys of a spec name arguments, so they must be text, "
                f"found {key!r} ({type(key).__name__})."
            )
            raise ConfigError(message)
        if key in defaults:
            message = (
                f"{kind}: {key!r} is set by the run, found {key}={spec[key]!r} in the "
                "spec too. Remove it from the spec."
            )
            raise ConfigError(message)


def check_arguments(
    buildable: Callable[..., Any], arguments: Mapping[str, Any], *, where: str
) -> None:
    """Raise unless ``buildable(**arguments)`` fits its signature.

    A ``TypeError`` out of the call could as well come from a bug inside it; asking the
    signature first tells the two apart. What has no signature is not checked.

    Args:
        buildable: What will be called.
        arguments: What it will be given by name.
        where: Start of the message, such as ``"hook: CheckpointHook"``.

    Raises:
        ConfigError: An argument is unknown or missing.

    >>> def resize(size, *, mode="nearest"): ...
    >>> check_arguments(resize, {"size": 3}, where="transform: resize")
    """
    try:
        # Not followed into what a decorator wraps: the wrapper gets the arguments,
        # and it may take others (renamed ones, say) than the function inside.
        signature = inspect.signature(buildable, follow_wrapped=False)
    except (TypeError, ValueError):  # a builtin that tells nothing about itself
        return
    parameters = signature.parameters.values()
    known = [each.name for each in parameters if each.kind in BY_NAME]
    if not any(each.kind is Parameter.VAR_KEYWORD for each in parameters):
        for name in arguments:
            if name not in known:
                message = (
                    f"{where} has no argument {name!r}.{did_you_mean(name, known)} "
                    f"It takes {_listed(known)}."
                )
                raise ConfigError(message)
    missing = [
        each.name
        for each in parameters
        if each.default is Parameter.empty
        and each.kind not in VARIADIC
        and (each.name not in arguments or each.kind not in BY_NAME)
    ]
    if missing:
        message = (
            f"{where} needs {_listed(missing)}, found {_listed(arguments)}. "
            "Add what is missing to the spec."
        )
        raise ConfigError(message)


def unshared(value: Any) -> Any:
    """``value``, with copies in place of the specs in it.

    A constructor may take a nested spec apart (``optimizer.pop("type")``); that must
    not reach the config. All else stays the very object that it is: a list that
    somebody collects results in, or a dataset of a million samples.

    Args:
        value: An argument in a spec. It is not changed.

    >>> events, inner = [], {"type": "SGD", "lr": 0.1}
    >>> unshared(events) is events, unshared([inner]) == [inner]
    (True, True)
    >>> unshared(inner) is inner, unshared([inner])[0] is inner
    (False, False)
    """
    if isinstance(value, dict) and "type" in value:
        copied = copy.copy(value)
        for key, item in value.items():
            own = unshared(item)
            if own is not item:
                copied[key] = own
        return copied
    # Neither a subclass, which may be made in another way, nor a list without specs.
    if type(value) in {list, tuple}:
        items = [unshared(item) for item in value]
        if any(new is not old for new, old in zip(items, value, strict=True)):
            return type(value)(items)
    return value


def _listed(names: Iterable[str]) -> str:
    """Quoted names in a row, or "no arguments".

    >>> _listed(["a", "b"]), _listed([])
    ("'a', 'b'", 'no arguments')
    """
    return ", ".join(map(repr, names)) or "no arguments"
