"""Names that registries know things by: scoped keys, and how messages call a class."""

from __future__ import annotations

import inspect
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from engine.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "SCOPE",
    "SCOPE_ALIASES",
    "address",
    "calling_module",
    "canonical",
    "is_same_definition",
    "label_of",
    "names_for",
    "split_key",
]

SCOPE = "engine"
"""The scope of the engine's own registries."""

SCOPE_ALIASES: Mapping[str, str] = MappingProxyType({"mmengine": SCOPE})
"""Other names of a scope: configs written for MMEngine name its own."""


def canonical(scope: str) -> str:
    """A scope by its own name, whichever of its names it was given by.

    >>> canonical("mmengine"), canonical("mine")
    ('engine', 'mine')
    """
    return SCOPE_ALIASES.get(scope, scope)


def split_key(key: str) -> tuple[str, str]:
    """Scope and rest of a key; the scope's other names are put right.

    Returns:
        The key itself and ``""`` if it has no scope.

    >>> split_key("mmengine.LoggerHook"), split_key("LoggerHook")
    (('engine', 'LoggerHook'), ('LoggerHook', ''))
    """
    scope, _, rest = key.partition(".")
    return (canonical(scope), rest) if rest else (key, "")


def names_for(
    module: Callable[..., Any], name: str | Sequence[str] | None, *, kind: str
) -> list[str]:
    """The names to register ``module`` under.

    Args:
        module: What will be registered.
        name: One name, several, or ``None`` for its own ``__name__``.
        kind: What it is, in the singular; starts the message.

    Raises:
        RegistryError: There is no name, or one that is no text or empty.

    >>> names_for(dict, None, kind="part"), names_for(dict, ["a", "b"], kind="part")
    (['dict'], ['a', 'b'])
    """
    if name is None:
        name = getattr(module, "__name__", None)
        if name is None:
            message = (
                f"{kind}: {module!r} has no __name__. Give register_module a name."
            )
            raise RegistryError(message)
    names = [name] if isinstance(name, str) else list(name)
    if not names or not all(isinstance(each, str) and each for each in names):
        message = (
            f"{kind}: a name must be text that is not empty, or a list of it, "
            f"found {name!r}."
        )
        raise RegistryError(message)
    return names


def is_same_definition(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Tell whether two objects came from one place in one file, run twice.

    A notebook's cell that runs again, or a module that is loaded again, makes a new
    class each time; the new one is meant to take the place of the old. What a function
    defines is different each time that it is called, so it never counts.

    >>> is_same_definition(dict, dict), is_same_definition(dict, list)
    (True, False)
    """
    if one is other:
        return True
    places = [
        (getattr(each, "__module__", None), getattr(each, "__qualname__", None))
        for each in (one, other)
    ]
    _, label = places[0]
    # "<locals>" of a function, and "<lambda>": many objects share such a name.
    is_named = isinstance(label, str) and "<" not in label
    return is_named and places[0] == places[1]


def label_of(module: Callable[..., Any]) -> str:
    """How a class or function is called in messages.

    >>> label_of(dict.fromkeys)
    'dict.fromkeys'
    """
    name = getattr(module, "__qualname__", None)
    return name if isinstance(name, str) else repr(module)


def address(module: Callable[..., Any]) -> str:
    """Name and home of a class or function, for messages that compare two.

    >>> from collections import OrderedDict
    >>> address(OrderedDict)
    'collections.OrderedDict'
    """
    home = getattr(module, "__module__", None)
    return f"{home}.{label_of(module)}" if home else label_of(module)


def calling_module() -> str:
    """Name of the module that called the function which calls this one.

    Returns:
        ``""`` where the interpreter keeps no frames.
    """
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame.f_back if frame is not None else None
    return "" if frame is None else str(frame.f_globals.get("__name__", ""))
