"""References: names that a config imports, imported when their value is asked for."""

from __future__ import annotations

import operator
import sys
from enum import Enum
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from engine.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "LazyObject",
    "dotted_name",
    "peek",
    "reference_module",
    "reference_path",
    "resolve",
]


def _deferred(operation: Callable[..., Any]) -> Callable[..., Any]:
    """A method that is the operation on the object itself."""

    def method(self: LazyObject, *others: Any) -> Any:
        return operation(resolve(self), *(resolve(other) for other in others))

    return method


def _deferred_right(operation: Callable[..., Any]) -> Callable[..., Any]:
    """The same for ``other + reference``."""

    def method(self: LazyObject, other: Any) -> Any:
        return operation(other, resolve(self))

    return method


class LazyObject:
    """Stands for what a dotted path leads to, without importing it.

    An attribute of a reference is a longer reference; a call, arithmetic, ``len``,
    iteration, an item or its truth import the object and go on with that. References
    are equal if their paths are, and equal to the object that their path leads to.

    Args:
        path: Dotted path, such as ``"torch.optim.SGD"``.
        modules: Modules that the config imports; they are found before attributes.
        where: ``file:line`` of the import, for the message if it fails.

    >>> reference = LazyObject("collections").OrderedDict
    >>> reference
    <reference to collections.OrderedDict>
    >>> reference(a=1)
    OrderedDict([('a', 1)])
    """

    __slots__ = ("_found", "_path", "_modules", "_where")  # noqa: RUF023 - as __init__

    def __init__(
        self, path: str, modules: tuple[str, ...] = (), where: str | None = None
    ) -> None:
        set_slot = object.__setattr__
        set_slot(self, "_path", path)
        set_slot(self, "_modules", modules)
        set_slot(self, "_where", where)

    def __getattr__(self, name: str) -> LazyObject:
        if name.startswith("_") and name.endswith("_"):
            # Protocols probe for these: __array__, IPython's _repr_html_.
            message = f"a reference to {reference_path(self)} has no {name!r}"
            raise AttributeError(message)
        modules, where = _slot(self, "_modules"), _slot(self, "_where")
        return LazyObject(f"{reference_path(self)}.{name}", modules, where)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        path = reference_path(self)
        message = f"{path}.{name}: what a config imports cannot be changed in it"
        raise ConfigError(message)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Import the object and call that."""
        return resolve(self)(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LazyObject):
            return reference_path(self) == reference_path(other)
        path = reference_path(self)
        here = peek(path)
        return other is here or (here is not None and dotted_name(other) == path)

    def __hash__(self) -> int:
        return hash(reference_path(self))

    def __repr__(self) -> str:
        return f"<reference to {reference_path(self)}>"

    def __str__(self) -> str:
        return reference_path(self)

    def __format__(self, format_spec: str) -> str:
        return format(resolve(self), format_spec)

    def __bool__(self) -> bool:
        return bool(resolve(self))

    def __iter__(self) -> Iterator[Any]:
        return iter(resolve(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return LazyObject, tuple(_slot(self, one) for one in self.__slots__[1:])

    def __copy__(self) -> LazyObject:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> LazyObject:
        return self

    __len__ = _deferred(len)
    __getitem__ = _deferred(operator.getitem)
    __contains__ = _deferred(operator.contains)
    __neg__ = _deferred(operator.neg)
    __add__, __radd__ = _deferred(operator.add), _deferred_right(operator.add)
    __sub__, __rsub__ = _deferred(operator.sub), _deferred_right(operator.sub)
    __mul__, __rmul__ = _deferred(operator.mul), _deferred_right(operator.mul)
    __or__, __ror__ = _deferred(operator.or_), _deferred_right(operator.or_)
    __mod__, __rmod__ = _deferred(operator.mod), _deferred_right(operator.mod)
    __pow__, __rpow__ = _deferred(operator.pow), _deferred_right(operator.pow)
    __lt__, __gt__ = _deferred(operator.lt), _deferred(operator.gt)
    __le__, __ge__ = _deferred(operator.le), _deferred(operator.ge)
    __truediv__ = _deferred(operator.truediv)
    __rtruediv__ = _deferred_right(operator.truediv)
    __floordiv__ = _deferred(operator.floordiv)
    __rfloordiv__ = _deferred_right(operator.floordiv)


# A reference's own slots; the dot would make a longer reference of a missing one.
_slot = object.__getattribute__


def reference_path(reference: LazyObject) -> str:
    """The dotted path of a reference."""
    path: str = _slot(reference, "_path")
    return path


def reference_module(reference: LazyObject) -> str | None:
    """The part of the path that is known to be a module, if one is."""
    path = f"{reference_path(reference)}."
    modules: tuple[str, ...] = _slot(reference, "_modules")
    known = [module for module in modules if path.startswith(f"{module}.")]
    return max(known, key=len, default=None)


def resolve(value: Any) -> Any:
    """Import what a reference stands for; any other value is returned as it is.

    Raises:
        ConfigError: The path leads nowhere, or an import on it failed.
    """
    if type(value) is not LazyObject:
        return value
    try:
        return _slot(value, "_found")
    except AttributeError:
        pass
    path = reference_path(value)
    where = _slot(value, "_where")
    try:
        found = _walk(path, reference_module(value))
    except ConfigError:
        raise
    except Exception as error:
        begin = f"{where}: " if where else ""
        message = f"{begin}cannot import {path}: {type(error).__name__}: {error}"
        raise ConfigError(message) from error
    object.__setattr__(value, "_found", found)
    return found


def _walk(path: str, module: str | None) -> Any:
    """Follow a path: attributes first, as Python does, then modules not yet loaded."""
    start = module or path.partition(".")[0]
    found: Any = import_module(start)
    here = start
    for part in path[len(start) :].split(".")[1:]:
        here = f"{here}.{part}"
        if isinstance(found, ModuleType) and not hasattr(found, part):
            found = _submodule(found, here)
        else:
            found = getattr(found, part)
    return found


def _submodule(module: ModuleType, name: str) -> ModuleType:
    part = name.rpartition(".")[2]
    message = f"module {module.__name__!r} has no {part!r}."
    message += did_you_mean(part, dir(module))
    if not hasattr(module, "__path__"):
        raise AttributeError(message)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise AttributeError(message) from error


def peek(path: str) -> Any:
    """What a dotted path leads to among the modules that are loaded, or ``None``.

    >>> peek("operator.add") is operator.add, peek("operator.nothing")
    (True, None)
    """
    module, parts = path, []
    while module not in sys.modules:
        module, dot, name = module.rpartition(".")
        parts.append(name)
        if not dot:
            return None
    found: Any = sys.modules[module]
    for name in reversed(parts):
        found = getattr(found, name, None)
    return found


def dotted_name(value: Any) -> str | None:
    """The dotted path under which anybody can import a value.

    Classes, functions, modules, members of enums, and objects whose ``repr`` is their
    path, such as ``torch.float32``.

    Returns:
        ``None`` if it has none: a lambda, a local class, an instance.

    >>> dotted_name(LazyObject), dotted_name(lambda: 0)
    ('engine.config.lazy.LazyObject', None)
    """
    if isinstance(value, LazyObject):
        return reference_path(value)
    if isinstance(value, ModuleType):
        path = value.__name__
    elif isinstance(value, Enum):
        path = f"{type(value).__module__}.{type(value).__qualname__}.{value.name}"
    else:
        module = getattr(value, "__module__", None)
        name = getattr(value, "__qualname__", None)
        if isinstance(module, str) and isinstance(name, str):
            path = f"{module}.{name}"
        elif callable(value) or type(value).__module__.partition(".")[0] == "torch":
            path = repr(value)
        else:
            return None
    if not all(part.isidentifier() for part in path.split(".")):
        return None
    found = peek(path)
    # A class method is made anew at each look-up: equal, not the same.
    same = found is value or (hasattr(value, "__func__") and found == value)
    return path if same else None
