"""How one mapping is laid over another.

Mappings are merged key by key; all else takes the place of what was there. With
``_delete_=True`` a mapping takes the place too. A mapping whose keys are all numbers
may be laid over a list: ``{0: {"lr": 1}}`` changes the first item.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, a_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DELETE_KEY", "as_text", "cleaned", "merge", "nested", "split_path"]

DELETE_KEY = "_delete_"
"""In a mapping: take the base's place, do not merge into it."""

_INDEX = re.compile(r"-?\d+")


def _no_place(_: tuple[Any, ...]) -> str:
    return ""


def merge(
    base: Mapping[Any, Any],
    child: Mapping[Any, Any],
    *,
    allow_list_keys: bool = True,
    path: tuple[Any, ...] = (),
    place: Callable[[tuple[Any, ...]], str] = _no_place,
) -> Any:
    """Lay ``child`` over ``base``.

    Args:
        base: A ``ConfigDict`` (or dict). Not changed.
        child: The same; not changed, but its values are in the result.
        allow_list_keys: Mappings with numbers as keys change items of lists.
        path: Where this is, for messages.
        place: Gives what a message about a path begins with, such as ``"a.py:3: "``.

    Returns:
        A new mapping of the type of ``base``.

    Raises:
        ConfigError: A mapping meets what is none, or a list has no such item.

    >>> merge({"a": {"x": 1}, "b": [1]}, {"a": {"y": 2}, "b": [2]})
    {'a': {'x': 1, 'y': 2}, 'b': [2]}
    >>> merge({"a": {"x": 1}}, {"a": {"_delete_": True, "y": 2}})
    {'a': {'y': 2}}
    """
    assert isinstance(base, dict)
    assert isinstance(child, dict)
    over = _Over(allow_list_keys=allow_list_keys, place=place)
    return over.mapping(base, child, path)


class _Over:
    """Lays values over others; it knows how messages begin."""

    def __init__(
        self, *, allow_list_keys: bool, place: Callable[[tuple[Any, ...]], str]
    ) -> None:
        self.allow_list_keys = allow_list_keys
        self.place = place

    def mapping(
        self, base: dict[Any, Any], child: dict[Any, Any], path: tuple[Any, ...]
    ) -> dict[Any, Any]:
        new = base.copy()
        for key, value in dict.items(child):
            if key == DELETE_KEY:
                continue
            laid = value
            if isinstance(value, dict) and key in base and not value.get(DELETE_KEY):
                old = dict.__getitem__(base, key)
                laid = self.value(old, value, (*path, key))
            else:
                laid = cleaned(value)
            dict.__setitem__(new, key, laid)
        return new

    def value(self, old: Any, value: dict[Any, Any], path: tuple[Any, ...]) -> Any:
        if isinstance(old, dict):
            return self.mapping(old, value, path)
        if isinstance(old, list) and self.allow_list_keys and value:
            bad = [key for key in value if not _INDEX.fullmatch(str(key))]
            if not bad:
                return self.items(old, value, path)
            message = (
                f"{as_text(path)} is a list of {_items(len(old))}, and {bad[0]!r} is "
                "none of its places: write a number."
            )
            raise ConfigError(self.place(path) + message)
        message = (
            f"cannot merge a mapping with {_keys(value)} into {as_text(path)}, which "
            f"is {_shown(old)}. Write {DELETE_KEY}=True into the mapping to put it "
            "there instead."
        )
        raise ConfigError(self.place(path) + message)

    def items(
        self, old: list[Any], value: dict[Any, Any], path: tuple[Any, ...]
    ) -> list[Any]:
        new = old.copy()
        for key, item in dict.items(value):
            index = int(key)
            if not -len(old) <= index < len(old):
                allowed = f": 0 to {len(old) - 1}" if old else ""
                message = (
                    f"there is no {as_text((*path, index))}: the list {as_text(path)} "
                    f"has {_items(len(old))}{allowed}."
                )
                raise ConfigError(self.place(path) + message)
            before = list.__getitem__(old, index)
            if isinstance(item, dict) and not item.get(DELETE_KEY):
                new[index] = self.value(before, item, (*path, index))
            else:
                new[index] = cleaned(item)
        return new


def cleaned(value: Any) -> Any:
    """A value without the ``_delete_`` keys of its mappings, which had nothing to drop.

    >>> cleaned({"a": {"_delete_": True, "x": 1}})
    {'a': {'x': 1}}
    """
    if isinstance(value, dict):
        changed = {}
        for key, item in dict.items(value):
            own = cleaned(item)
            if own is not item:
                changed[key] = own
        if not changed and DELETE_KEY not in value:
            return value
        new = value.copy()
        dict.update(new, changed)
        dict.pop(new, DELETE_KEY, None)
        return new
    if type(value) is list or type(value) is tuple:
        items = [cleaned(item) for item in value]
        if any(own is not item for own, item in zip(items, value, strict=True)):
            return type(value)(items)
    return value


def nested(options: Mapping[str, Any]) -> dict[Any, Any]:
    """Options by dotted path as nested mappings.

    Raises:
        ConfigError: One option goes through another's value.

    >>> nested({"a.b": 1, "a.c[0]": 2})
    {'a': {'b': 1, 'c': {'0': 2}}}
    """
    whole: dict[Any, Any] = {}
    for name, value in options.items():
        parts = split_path(name)
        level = whole
        for part in parts[:-1]:
            step = level.setdefault(part, {})
            if not isinstance(step, dict):
                message = f"{name} goes through {part!r}, which is set to {step!r} too"
                raise ConfigError(message)
            level = step
        before = level.get(parts[-1])
        both = isinstance(before, dict) and isinstance(value, dict)
        level[parts[-1]] = merge(before or {}, value) if both else value
    return whole


def split_path(name: str) -> list[str]:
    """The steps of a dotted path; ``a[0].b`` is ``a.0.b``.

    Raises:
        ConfigError: A step is empty.

    >>> split_path("hooks[0].interval")
    ['hooks', '0', 'interval']
    """
    steps = re.sub(r"\[(-?\d+)\]", r".\1", str(name)).split(".")
    if "" in steps:
        message = f"the path {name!r} has a step without a name"
        raise ConfigError(message)
    return steps


def as_text(path: tuple[Any, ...]) -> str:
    """A path as people write it.

    >>> as_text(("hooks", 0, "interval"))
    'hooks[0].interval'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text


def _keys(value: dict[Any, Any]) -> str:
    names = [repr(key) for key in value]
    return f"{', '.join(names[:5])}{', ...' * (len(names) > 5)}" if names else "no keys"  # noqa: PLR2004 - as many as a line holds


def _items(count: int) -> str:
    return f"{count} item{'' if count == 1 else 's'}"


def _shown(value: Any) -> str:
    text = repr(value)
    kind = "a list" if isinstance(value, list) else f"{a_type(value)}"
    return f"{kind}, {text[:57]}..." if len(text) > 60 else f"{kind}, {text}"  # noqa: PLR2004 - a line's worth
