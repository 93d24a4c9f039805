"""attrs classes to plain, versioned data and back, derived from their fields.

A class that is saved declares ``FORMAT: ClassVar[int]`` and, once that is above 1,
``MIGRATIONS``: for each older format a function from its mapping to the next one's.
Fields marked ``metadata=UNSAVED`` live only in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, cast, get_args, get_origin

import attrs

from engine.errors import EngineError, SerializationError, a_type, did_you_mean

if TYPE_CHECKING:
    from engine.typing import Plain

__all__ = ["UNSAVED", "check_format", "from_plain", "to_plain"]

T = TypeVar("T")

UNSAVED: Mapping[str, Any] = {"saved": False}
"""Metadata of a field that is not part of the saved state."""


def to_plain(value: Any) -> Plain:
    """Take ``value`` apart into dicts, lists, numbers, strings and ``None``.

    Args:
        value: An instance of an attrs class, an enum member, or plain data.

    Returns:
        New containers throughout: later changes of ``value`` do not reach into them.
        An attrs instance becomes ``{"format": FORMAT, field: ..., ...}``.

    Raises:
        SerializationError: Something in it is not plain.
    """
    if isinstance(value, Enum):  # first: members of an IntEnum are ints too
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if attrs.has(type(value)):
        cls: Any = type(value)
        fields = {name: to_plain(getattr(value, name)) for name in _saved(cls)}
        return {"format": cls.FORMAT, **fields}
    message = (
        f"cannot save {a_type(value)}: saved state holds numbers, strings, "
        "None, and lists and dicts of them"
    )
    raise SerializationError(message)


def from_plain(cls: type[T], data: Plain) -> T:
    """Build ``cls`` from what :func:`to_plain` made of an instance.

    Args:
        cls: An attrs class with ``FORMAT``.
        data: The mapping; it is not changed.

    Raises:
        SerializationError: ``data`` is no mapping, of a newer format, has unknown or
            missing keys, or a value of the wrong type.
    """
    return cast("T", _load(cls, data, cls.__name__))


@cache
def _saved(cls: type) -> dict[str, Any]:
    """Names and resolved types of the fields that are saved."""
    attrs.resolve_types(cls)
    return {
        field.name: field.type
        for field in attrs.fields(cls)
        if field.metadata.get("saved", True)
    }


def _load(kind: Any, data: Plain, where: str) -> Any:
    if get_origin(kind) in (Union, UnionType):
        choices = get_args(kind)
        if data is None and NoneType in choices:
            return None
        (kind,) = [choice for choice in choices if choice is not NoneType]
    origin = get_origin(kind)
    if origin in (list, tuple):
        _check(isinstance(data, list), where, "a list", data)
        items = [
            _load(get_args(kind)[0], item, f"{where}[{index}]")
            for index, item in enumerate(data)
        ]
        return items if origin is list else tuple(items)
    if origin is dict:
        _check(isinstance(data, dict), where, "a dict", data)
        return {
            key: _load(get_args(kind)[1], item, f"{where}[{key!r}]")
            for key, item in data.items()
        }
    if isinstance(kind, type) and issubclass(kind, Enum):
        known = [member.value for member in kind]
        _check(data in known, where, f"one of {known}", data)
        return kind(data)
    if attrs.has(kind):
        return _load_attrs(kind, data, where)
    if kind is float:
        _check(_is_number(data), where, "a number", data)
        return float(data)
    _check(type(data) is kind, where, f"{kind.__name__}", data)
    return data


def _load_attrs(cls: Any, data: Plain, where: str) -> Any:
    _check(isinstance(data, Mapping), where, "a mapping", data)
    values = dict(data)
    version = values.pop("format", None)
    _check(type(version) is int, f"{where}.format", "the number of its format", version)
    if version > cls.FORMAT:
        message = (
            f"{where}: saved in format {version}, this version reads up to "
            f"{cls.FORMAT}. Use the newer release that wrote it."
        )
        raise SerializationError(message)
    migrations: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]
    migrations = getattr(cls, "MIGRATIONS", {})
    for old in range(version, cls.FORMAT):
        if old not in migrations:
            message = (
                f"{where}: saved in format {version}, which this version does not read "
                f"any more. Formats {[*sorted(migrations), cls.FORMAT]} are read."
            )
            raise SerializationError(message)
        values = migrations[old](values)
    fields = _saved(cls)
    for key in values:
        if key not in fields:
            message = f"{where}: unknown key {key!r}.{did_you_mean(key, fields)}"
            raise SerializationError(message)
    missing = [name for name in fields if name not in values]
    if missing:
        message = f"{where}: the keys {missing} are missing"
        raise SerializationError(message)
    loaded = {
        name.lstrip("_"): _load(kind, values[name], f"{where}.{name}")
        for name, kind in fields.items()
    }
    try:
        return cls(**loaded)
    except (ValueError, TypeError, EngineError) as error:  # the class says no
        message = f"{where}: {error}"
        raise SerializationError(message) from error


def _is_number(data: Plain) -> bool:
    return isinstance(data, int | float) and not isinstance(data, bool)


def _check(fits: object, where: str, allowed: str, found: Plain) -> None:
    if not fits:
        message = f"{where}: expected {allowed}, found {found!r}"
        raise SerializationError(message)


def check_format(
    owner: str, state: Mapping[str, Plain], mine: Mapping[str, Plain]
) -> None:
    """Refuse a state that is not of the form which its owner saves.

    Args:
        owner: Who takes the state over, for the message.
        state: What was saved, with its number of a format under ``"format"``.
        mine: What the owner would save now.

    Raises:
        SerializationError: The format or the keys differ.
    """
    if {*state} != {*mine} or state["format"] != mine["format"]:
        message = (
            f"{owner}: expected state of format {mine['format']} with {sorted(mine)}, "
            f"found format {state.get('format')!r} with {sorted(state)}"
        )
        raise SerializationError(message)
