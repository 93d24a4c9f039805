"""What to tell who asks for a name that nothing answers to."""

from __future__ import annotations

from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING

from engine.registry.names import split_key
from engine.registry.scope import current_scope
from engine.registry.tree import chain, holder_of, places, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.registry.registry import Registry

__all__ = ["unknown_name"]

SHOWN_NAMES = 20
"""How many known names a message lists before it only counts the rest."""

NEAREST = 3
"""How many near names a message asks about."""


def unknown_name(registry: Registry, key: str, reason: str) -> str:
    """The message for a look-up that failed.

    Args:
        registry: The one that was asked.
        key: What it was asked for.
        reason: Why the key is no dotted path either, with a leading blank; or ``""``.
    """
    scope, rest = split_key(key)
    holder = holder_of(scope, registry) if rest else None
    looked = places(registry, current_scope())
    if holder is not None:
        looked = list(dict.fromkeys([*chain(holder), *looked]))
    # "mmdet.Adm" is near "Adam"; with more dots the whole is meant for a path.
    name = rest if holder is not None or (rest and "." not in rest) else key
    known = sorted({each for one in looked for each in one.module_dict})
    listed = known[:SHOWN_NAMES] or ["nothing"]
    if len(known) > SHOWN_NAMES:
        listed.append(f"and {len(known) - SHOWN_NAMES} more")
    return (
        f"no {registry.name} is called {key!r}."
        f"{_nearest(name, known)}"
        f"{_elsewhere(registry, rest or key, looked)}"
        f"{reason}{_lost_scopes(registry, key)} "
        f"Looked in {' and '.join(map(_place, looked))}. Known: {', '.join(listed)}."
    )


def _nearest(name: str, known: Iterable[str]) -> str:
    """A question that names what is near, or nothing.

    >>> _nearest("Emo", ["Ema", "Emu", "Timer"])
    " Did you mean 'Emu' or 'Ema'?"
    """
    near = get_close_matches(name, list(known), n=NEAREST)
    *first, last = map(repr, near) if near else ("",)
    return f" Did you mean {', '.join(first)}{' or ' * bool(first)}{last}?" * bool(near)


def _elsewhere(registry: Registry, name: str, looked: Iterable[Registry]) -> str:
    """Which registries that were not asked hold the name, in sentences."""
    return "".join(
        [
            *_in_other_scopes(registry, name, set(looked)),
            *_in_family(registry.root, name),
        ]
    )


def _in_other_scopes(
    registry: Registry, name: str, looked: set[Registry]
) -> Iterator[str]:
    for each in walk(registry.root):
        if each not in looked and _has(each, name):
            yield f" The scope {each.scope!r} has it: write '{each.scope}.{name}'."


def _in_family(root: Registry, name: str) -> Iterator[str]:
    for label, other in root.family.items():
        if other is not root and _has(other, name):
            article = "an" if other.name[0] in "aeiou" else "a"
            yield f" {name!r} is {article} {other.name}: {label} has it."


def _has(registry: Registry, name: str) -> bool:
    # Advice must not replace the error that it is for, whatever an import raises.
    with suppress(Exception):
        registry.import_from_location()
    return name in registry.module_dict


def _lost_scopes(registry: Registry, key: str) -> str:
    """Which scopes were meant that no registry here has, in sentences."""
    scope, rest = split_key(key)
    scopes = ", ".join(
        map(repr, dict.fromkeys(each.scope for each in walk(registry.root)))
    )
    lost = ""
    # With more dots it is meant for a path, about which the reason says all.
    if rest and "." not in rest and holder_of(scope, registry) is None:
        lost = f" No registry here has the scope {scope!r} (there are: {scopes})."
    default = current_scope()
    if default is not None and holder_of(default, registry) is None:
        lost += (
            f" The default scope is {default!r}, which no registry here has "
            f"(there are: {scopes})."
        )
    return lost


def _place(registry: Registry) -> str:
    """Where a look-up looked."""
    place = f"registry {registry.name!r} of scope {registry.scope!r}"
    filled = ", ".join(registry.locations)
    return f"{place} (filled by {filled})" if filled else place
