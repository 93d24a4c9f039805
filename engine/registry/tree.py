"""Ways through a tree of registries.

::

    engine ─┬─ mine ─── mine.small        chain(mine): mine, engine
            └─ other                      walk(engine): engine, mine, other, mine.small
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.registry.registry import Registry

__all__ = ["chain", "holder_of", "places", "walk"]


def chain(registry: Registry) -> list[Registry]:
    """The registry and its parents up to the root."""
    links = [registry]
    while links[-1].parent is not None:
        links.append(links[-1].parent)
    return links


def walk(registry: Registry) -> Iterator[Registry]:
    """The registry and all below it, nearer ones first."""
    level = [registry]
    while level:
        yield from level
        level = [child for each in level for child in each.children.values()]


def holder_of(scope: str, registry: Registry) -> Registry | None:
    """The registry of ``scope`` in the tree of ``registry``.

    Args:
        scope: By its own name.
        registry: Where to begin: it and its parents come first, then what is below it,
            then the whole tree from its root.

    Returns:
        The first of that scope, or ``None``.
    """
    # One after the other: most look-ups end at the first registry.
    ways = (chain(registry), walk(registry), walk(registry.root))
    everyone = itertools.chain.from_iterable(ways)
    return next((each for each in everyone if each.scope == scope), None)


def places(registry: Registry, scope: str | None) -> list[Registry]:
    """The registries to ask for a name without scope, in order.

    Args:
        registry: The one that was asked.
        scope: The default scope, if one is in force.

    Returns:
        The registry of the default scope and those of its parents that are none of
        ``registry``'s, then ``registry`` and its parents.
    """
    own = chain(registry)
    holder = holder_of(scope, registry) if scope is not None else None
    first = [] if holder is None else chain(holder)
    return [each for each in first if each not in own] + own
