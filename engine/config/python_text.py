"""A config as Python text that reads back to the same config."""

from __future__ import annotations

import datetime as dt
import functools
import keyword
import math
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from engine.config.lazy import LazyObject, dotted_name, reference_module, reference_path
from engine.config.merge import as_text
from engine.config.variables import guarded
from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["EXTRA_KEY", "python_text"]

EXTRA_KEY = "__config__"
"""The variable of a written file that holds keys which no variable can have."""

_WIDTH = 88
_SHOWN = 60  # characters of a value in a message
_BUILTINS = frozenset(
    {"dict", "float", "complex", "set", "frozenset", "slice", "range", EXTRA_KEY}
)


class _Node:
    """A value in brackets: it stands on one line, or each item on its own."""

    __slots__ = ("close", "items", "open", "width")

    def __init__(
        self, start: str, items: list[tuple[str, _Node | str]], close: str
    ) -> None:
        self.open, self.items, self.close = start, items, close
        parts = (len(name) + _width(item) for name, item in items)
        self.width = len(start) + sum(parts) + 2 * (len(items) - 1) + len(close)


def _width(node: _Node | str) -> int:
    return len(node) if isinstance(node, str) else node.width


def python_text(
    values: Mapping[Any, Any], *, width: int | None = _WIDTH, strict: bool = True
) -> str:
    """Python text with one variable for each key.

    Classes, functions and references are written as dotted names, with the imports that
    they need on top.

    Args:
        values: A ``ConfigDict`` or dict.
        width: Of a line, if it can be kept. ``None``: each variable on one line.
        strict: Values that have no text are errors; else they are shown as text such
            as ``"<Net object>"``.

    Raises:
        ConfigError: ``strict``, and a value has no text; the message has its path.

    >>> print(python_text({"model": {"type": "Net", "class": 1}, "lr": 0.1}), end="")
    model = {"type": "Net", "class": 1}
    lr = 0.1
    """
    assert isinstance(values, dict)
    writer = _Writer(strict=strict)
    trees = {key: writer.node(value, (key,)) for key, value in dict.items(values)}
    roots = {module.partition(".")[0] for module in writer.modules}
    lines = [f"import {module}" for module in sorted(writer.modules)]
    if lines:
        lines.append("")
    extra = []
    for key, tree in trees.items():
        if _is_variable(key) and key not in roots:
            lines.append(f"{key} = {_laid_out(tree, len(key) + 3, 0, width)}")
        else:
            extra.append((f"{writer.text(key, ('',))}: ", tree))
    if extra:
        tree = _Node("{", extra, "}")
        head = len(EXTRA_KEY) + 3
        lines.append(f"{EXTRA_KEY} = {_laid_out(tree, head, 0, width)}")
    return guarded("\n".join(lines) + "\n", r"\x7b") if lines else ""


def _is_variable(key: Any) -> bool:
    return (
        type(key) is str
        and key.isidentifier()
        and key.isascii()  # Python normalizes others: a ligature is two letters
        and not keyword.iskeyword(key)
        and not key.startswith("_")
        and key not in _BUILTINS
    )


def _laid_out(node: _Node | str, column: int, indent: int, width: int | None) -> str:
    if isinstance(node, str):
        return node
    if width is None or column + node.width <= width or not node.items:
        return _flat(node)
    inner = indent + 4
    pad = " " * inner
    lines = [
        f"{pad}{name}{_laid_out(item, inner + len(name) + 1, inner, width)},"
        for name, item in node.items
    ]
    # A tuple of one brings its comma along.
    close = node.close.removeprefix(",")
    return "\n".join([node.open, *lines, " " * indent + close])


def _flat(node: _Node | str) -> str:
    if isinstance(node, str):
        return node
    items = ", ".join(name + _flat(item) for name, item in node.items)
    return node.open + items + node.close


class _Writer:
    """Values to trees; it gathers the modules to import."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.modules: set[str] = set()
        self._open: set[int] = set()  # containers around the present value

    def node(self, value: Any, path: tuple[Any, ...]) -> _Node | str:
        """The tree of a value."""
        if isinstance(value, dict | list | tuple) and not hasattr(value, "_fields"):
            if id(value) in self._open:
                message = f"{as_text(path)}: a value that holds itself has no text"
                raise ConfigError(message)
            self._open.add(id(value))
            try:
                return self._container(value, path)
            finally:
                self._open.remove(id(value))
        if type(value) is functools.partial:
            self.modules.add("functools")
            items = [("", self.node(one, path)) for one in (value.func, *value.args)]
            items += [
                (f"{name}=", self.node(one, (*path, name)))
                for name, one in value.keywords.items()
            ]
            return _Node("functools.partial(", items, ")")
        return self.text(value, path)

    def _container(self, value: Any, path: tuple[Any, ...]) -> _Node:
        if isinstance(value, dict):
            pairs = [
                (key, self.node(item, (*path, key))) for key, item in dict.items(value)
            ]
            names = all(_is_name(key) for key, _ in pairs)
            if names:
                return _Node("dict(", [(f"{key}=", one) for key, one in pairs], ")")
            texts = [(f"{self.text(key, path)}: ", one) for key, one in pairs]
            return _Node("{", texts, "}")
        items: Iterable[Any] = (
            list.__getitem__(value, slice(None)) if isinstance(value, list) else value
        )
        nodes: list[tuple[str, _Node | str]] = [
            ("", self.node(item, (*path, i))) for i, item in enumerate(items)
        ]
        if isinstance(value, list):
            return _Node("[", nodes, "]")
        return _Node("(", nodes, ",)" if len(nodes) == 1 else ")")

    def text(self, value: Any, path: tuple[Any, ...]) -> str:
        """The text of a value that stands on one line."""
        write = _TEXTS.get(type(value))
        if write is not None:
            return write(self, value, path)
        if isinstance(value, LazyObject):
            path_ = reference_path(value)
            self.modules.add(reference_module(value) or path_.partition(".")[0])
            return path_
        dotted = dotted_name(value)
        if dotted is not None:
            self.modules.add(_module_of(dotted))
            return dotted
        if isinstance(value, PurePath):
            self.modules.add("pathlib")
            return f"pathlib.{type(value).__name__}({_quoted(str(value))})"
        if isinstance(value, dt.date | dt.time | dt.timedelta):
            self.modules.add("datetime")
            return repr(value)
        for basic in (int, float, str):  # NumPy's float64 is a float
            if isinstance(value, basic):
                return self.text(basic(value), path)
        if not self.strict:
            return _quoted(
                f"<{type(value).__module__}.{type(value).__qualname__} object>"
            )
        shown = repr(value)
        shown = f"{shown[:57]}..." if len(shown) > _SHOWN else shown
        message = (
            f"{as_text(path)}: {shown} ({type(value).__name__}) cannot be written "
            "as text. Give the class by 'type' and its arguments instead of an object, "
            "and define functions at the top of a module."
        )
        raise ConfigError(message)


def _module_of(dotted: str) -> str:
    """The module in the dotted name of something that is loaded."""
    module = dotted
    while module not in sys.modules and "." in module:
        module = module.rpartition(".")[0]
    return module


def _is_name(key: Any) -> bool:
    return (
        type(key) is str
        and key.isidentifier()
        and key.isascii()
        and not keyword.iskeyword(key)
    )


def _quoted(value: str) -> str:
    """A string literal in double quotes, if that needs no backslashes.

    >>> print(_quoted("a"), _quoted("it's"), _quoted('say "a"'))
    "a" "it's" 'say "a"'
    """
    text = repr(value)
    return (
        f'"{text[1:-1]}"'
        if text[0] == "'" and '"' not in value and "\\'" not in text
        else text
    )


def _float(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'float("{value!r}")'


def _complex(value: complex) -> str:
    return f"complex({_float(value.real)}, {_float(value.imag)})"


def _set(writer: _Writer, value: Any, path: tuple[Any, ...]) -> str:
    # Sorted by their text, so that equal sets are equal text.
    items = ", ".join(sorted(writer.text(item, path) for item in value))
    if isinstance(value, frozenset):
        return f"frozenset({{{items}}})" if items else "frozenset()"
    return f"{{{items}}}" if items else "set()"


def _slice(writer: _Writer, value: slice, path: tuple[Any, ...]) -> str:
    parts = (value.start, value.stop, value.step)
    return f"slice({', '.join(writer.text(one, path) for one in parts)})"


def _flat_tuple(writer: _Writer, value: tuple[Any, ...], path: tuple[Any, ...]) -> str:
    return _flat(writer.node(value, path))


_TEXTS: dict[type, Callable[[_Writer, Any, tuple[Any, ...]], str]] = {
    type(None): lambda *_: "None",
    bool: lambda _, value, __: repr(value),
    int: lambda _, value, __: repr(value),
    float: lambda _, value, __: _float(value),
    str: lambda _, value, __: _quoted(value),
    bytes: lambda _, value, __: repr(value),
    complex: lambda _, value, __: (
        f"complex({_float(value.real)}, {_float(value.imag)})"
    ),
    range: lambda _, value, __: repr(value),
    type(...): lambda *_: "...",
    tuple: _flat_tuple,  # in a set, or a key
    set: _set,
    frozenset: _set,
    slice: _slice,
}
