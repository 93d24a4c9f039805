"""The mapping that a config is made of."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from typing import Any, SupportsIndex, overload

from engine.config.lazy import LazyObject, resolve
from engine.config.merge import DELETE_KEY, merge
from engine.errors import ConfigKeyError, did_you_mean

__all__ = ["ConfigDict", "copied", "owned", "plain", "raw_items"]


class ConfigDict(dict[Any, Any]):
    """A dict whose string keys are attributes too, and whose mappings are such dicts.

    What is put in is taken over: mappings become ``ConfigDict``, also those in lists
    and tuples; all else stays the object that it is. References to what a config
    imports are imported when a value is looked at (``cfg.x``, ``cfg["x"]``, ``get``,
    ``values``, ``dict(cfg)``), and neither by copies, comparison, ``repr``, pickling
    nor by :meth:`to_dict`.

    Args:
        args: As for ``dict``.
        kwargs: As for ``dict``.

    >>> model = ConfigDict(type="Net", head={"width": 8})
    >>> model.head.width
    8
    >>> model.depth
    Traceback (most recent call last):
    engine.errors.ConfigKeyError: no key 'depth'; the keys are 'type', 'head'.
    """

    __slots__ = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        if args or kwargs:
            self.update(*args, **kwargs)

    # ------------------------------------------------------------------- looking up

    def __getitem__(self, key: Any) -> Any:
        try:
            value = dict.__getitem__(self, key)
        except KeyError:
            raise missing_key(key, self) from None
        return _seen(value) if type(value) in _LAZY else value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):  # protocols probe for these
            raise AttributeError(name)
        return self[name]

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of ``key``, or ``default``."""
        if key not in self:
            return default
        return self[key]

    def __iter__(self) -> Iterator[Any]:
        # Overridden, so that dict(self) and {**self} ask for the values one by one;
        # C would take references as they lie here.
        return super().__iter__()

    def items(self) -> ItemsView[Any, Any]:  # type: ignore[override]  # dict_items is C's
        """Keys and values, a view."""
        return ItemsView(self)

    def values(self) -> ValuesView[Any]:  # type: ignore[override]  # dict_values is C's
        """The values, a view."""
        return ValuesView(self)

    def build_lazy(self, value: Any) -> Any:
        """What a reference stands for; any other value as it is."""
        return resolve(value)

    # --------------------------------------------------------------------- changing

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, owned(value))

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            message = f"{name!r} is a method; write cfg[{name!r}] = ... for the key"
            raise ConfigKeyError(message)
        self[name] = value

    def __delitem__(self, key: Any) -> None:
        if key not in self:
            raise missing_key(key, self)
        super().__delitem__(key)

    def __delattr__(self, name: str) -> None:
        del self[name]

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value of ``key``, which becomes ``default`` if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Any, default: Any = None) -> Any:
        """Take ``key`` out; ``default`` if it is not there."""
        return resolve_seen(super().pop(key, default))

    def popitem(self) -> tuple[Any, Any]:
        """Take the newest key out, with its value."""
        key, value = super().popitem()
        return key, resolve_seen(value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set many keys, as ``dict.update`` does; see :meth:`merge` for nested ones."""
        for source in (*args, kwargs):
            for key, value in raw_items(source):
                self[key] = value

    def merge(self, other: Mapping[Any, Any]) -> None:
        """Merge another mapping in, key by key, also in nested mappings.

        Args:
            other: Not changed. ``_delete_=True`` in it, or in a mapping in it, drops
                what was there before.

        Raises:
            ConfigError: A mapping meets what is none.
        """
        child = copied(owned_mapping(other))
        merged = merge(ConfigDict() if child.get(DELETE_KEY) else self, child)
        dict.clear(self)
        dict.update(self, raw_pairs(owned_mapping(merged)))

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        new = self.copy()
        new.update(other)
        return new

    def __ror__(self, other: Any) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        new = ConfigDict(other)
        new.update(self)
        return new

    def __ior__(self, other: Any) -> ConfigDict:
        self.update(other)
        return self

    # ---------------------------------------------------------------------- copying

    def copy(self) -> ConfigDict:
        """A shallow copy, as of a dict."""
        new = ConfigDict()
        dict.update(new, raw_pairs(self))
        return new

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> ConfigDict:
        from copy import deepcopy

        new = ConfigDict()
        memo[id(self)] = new
        for key, value in raw_items(self):
            dict.__setitem__(new, deepcopy(key, memo), deepcopy(value, memo))
        return new

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_pairs, (raw_pairs(self),)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return self.__reduce__()

    def to_dict(self) -> dict[Any, Any]:
        """Plain dicts, lists and tuples; references as text, such as ``"a.b.C"``."""
        converted: dict[Any, Any] = plain(self)
        return converted

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None) -> ConfigDict:
        """A mapping with the same value for each key."""
        return cls((key, value) for key in keys)


class _LazyList(list[Any]):
    """A list with references in it; they are imported when it is looked at."""

    __slots__ = ()

    @overload
    def __getitem__(self, index: SupportsIndex) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        if isinstance(index, slice):
            return [resolve_seen(item) for item in found]
        return resolve_seen(found)

    def __iter__(self) -> Iterator[Any]:
        return (resolve_seen(item) for item in super().__iter__())

    def __reversed__(self) -> Iterator[Any]:
        return (resolve_seen(item) for item in super().__reversed__())

    def __add__(self, other: list[Any]) -> list[Any]:
        return [*self, *other]

    def __radd__(self, other: list[Any]) -> list[Any]:
        return [*other, *self]

    def __mul__(self, count: SupportsIndex) -> list[Any]:
        return list(self) * count

    __rmul__ = __mul__

    def pop(self, index: SupportsIndex = -1) -> Any:
        return resolve_seen(super().pop(index))

    def copy(self) -> list[Any]:
        return _LazyList(raw_list(self))

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> _LazyList:
        from copy import deepcopy

        new = _LazyList()
        memo[id(self)] = new
        new.extend(deepcopy(item, memo) for item in raw_list(self))
        return new

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return _LazyList, (raw_list(self),)


class _LazyTuple(tuple[Any, ...]):
    """A tuple with references in it; whoever looks at it gets a plain one."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return _LazyTuple, (tuple(self),)


_FEW = 12  # keys that a message names
_LAZY = frozenset({LazyObject, _LazyTuple})


def _seen(value: Any) -> Any:
    if type(value) is _LazyTuple:
        return tuple(resolve_seen(item) for item in value)
    return resolve(value)


def resolve_seen(value: Any) -> Any:
    """A stored value as somebody who looks at it gets it."""
    return _seen(value) if type(value) in _LAZY else value


def _from_pairs(pairs: list[tuple[Any, Any]]) -> ConfigDict:
    new = ConfigDict()
    dict.update(new, pairs)
    return new


def missing_key(key: Any, mapping: dict[Any, Any], where: str = "") -> ConfigKeyError:
    """The error for a key that is not there; it names the nearest one."""
    texts = [str(one) for one in mapping]
    near = did_you_mean(str(key), texts)
    few = ", ".join(repr(one) for one in texts[:_FEW])
    few += ", ..." * (len(texts) > _FEW)
    there = f"the keys are {few}." if texts else "it is empty."
    begin = f"{where}: " if where else ""
    return ConfigKeyError(f"{begin}no key {key!r}; {there}{near}")


# --------------------------------------------------------------- values as they lie


def raw_items(source: Any) -> Iterable[tuple[Any, Any]]:
    """Keys and values of a mapping, or pairs; references stay references."""
    if isinstance(source, dict):
        return dict.items(source)
    if isinstance(source, Mapping):
        stored = getattr(source, "_cfg_dict", None)  # a Config's
        return dict.items(stored) if isinstance(stored, dict) else source.items()
    if hasattr(source, "keys"):
        return [(key, source[key]) for key in source.keys()]  # noqa: SIM118 - as dict does
    pairs: Iterable[tuple[Any, Any]] = source
    return pairs


def raw_pairs(mapping: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """The same as a list."""
    return list(dict.items(mapping))


def raw_list(items: list[Any]) -> list[Any]:
    """The items of a list; references stay references."""
    return list.__getitem__(items, slice(None))


def owned_mapping(mapping: Mapping[Any, Any]) -> ConfigDict:
    """A mapping as a ``ConfigDict``; one that is one already is returned itself."""
    return mapping if isinstance(mapping, ConfigDict) else ConfigDict(mapping)


def owned(value: Any) -> Any:
    """A value as a config holds it.

    Dicts become ``ConfigDict``. A list or tuple is made anew only if something in it
    changes by that: a list that somebody collects results in stays that list.
    """
    if isinstance(value, dict):
        return value if isinstance(value, ConfigDict) else ConfigDict(value)
    kind = type(value)
    if kind is list or kind is tuple:
        items = [owned(item) for item in value]
        if any(type(item) in _LAZY for item in items):
            return _LazyList(items) if kind is list else _LazyTuple(items)
        if any(new is not old for new, old in zip(items, value, strict=True)):
            return kind(items)
    elif isinstance(getattr(value, "_cfg_dict", None), ConfigDict):
        return value._cfg_dict  # noqa: SLF001 - a Config inside a config
    return value


def copied(value: Any) -> Any:
    """A copy of the containers, with the same objects in them; nothing is imported."""
    kind = type(value)
    if kind is ConfigDict:
        new = ConfigDict()
        for key, item in dict.items(value):
            dict.__setitem__(new, key, copied(item))
        return new
    if kind is list:
        return [copied(item) for item in value]
    if kind is tuple or kind is _LazyTuple:
        return kind([copied(item) for item in value])
    if kind is _LazyList:
        return _LazyList(copied(item) for item in raw_list(value))
    if kind is set:
        return set(value)
    return value


def plain(value: Any) -> Any:
    """The same with Python's own containers, and references as text."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in dict.items(value)}
    if isinstance(value, _LazyTuple) or type(value) is tuple:
        return tuple(plain(item) for item in value)
    if isinstance(value, _LazyList) or type(value) is list:
        return [plain(item) for item in raw_list(value)]
    return str(value) if isinstance(value, LazyObject) else value
