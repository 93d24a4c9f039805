"""Looking a key up in a tree of registries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.registry.names import split_key
from engine.registry.tree import chain, holder_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.registry.registry import Registry

__all__ = ["search"]


def search(
    key: str, registry: Registry, asked: Sequence[Registry]
) -> Callable[..., Any] | None:
    """What ``key`` stands for; locations are imported where a name is not there yet.

    Args:
        key: A name, or ``scope.name``.
        registry: Whose tree is searched for the registry of the key's scope. That one
            is asked for the rest of the key, and its parents after it.
        asked: The registries to ask for the whole key after that, in order: a name
            may have dots of its own.

    Returns:
        The class or function, or ``None``.
    """
    scope, rest = split_key(key)
    holder = holder_of(scope, registry) if rest else None
    if holder is not None:
        found = search(rest, holder, chain(holder))
        if found is not None:
            return found
    for each in asked:
        if key not in each.module_dict:
            each.import_from_location()
        if key in each.module_dict:
            return each.module_dict[key]
    return None
