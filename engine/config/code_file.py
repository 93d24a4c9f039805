"""Config files that define classes or functions, as modules.

Such a file runs under a name made from its path, ``engine.config.files._2fhome_2fx``:
whoever meets the name, in a pickled dataset or in a written config, can import it, also
in another process (``files.py``).
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from enum import Enum
from importlib.machinery import ModuleSpec
from pathlib import PurePath
from types import ModuleType
from typing import TYPE_CHECKING, Any

from attrs import frozen

from engine.config.lazy import LazyObject
from engine.config.python_file import Variables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


__all__ = ["HOME", "module_name", "module_path", "run_as_module"]

HOME = "engine.config.files"
"""The package that these modules are in, as far as Python knows."""

_PLAIN = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    PurePath,
    slice,
    range,
    Enum,
)


@frozen(eq=False)
class _Run:
    """What a module was made from, and what came of it.

    Args:
        text: Of the file, variables put in.
        given: What its bases gave it.
        variables: What running it gave.
    """

    text: str
    given: Any
    variables: Variables


def module_name(path: Path | str) -> str:
    """The name of a file as a module.

    >>> module_name("/home/me/toy.py")
    'engine.config.files._2fhome_2fme_2ftoy'
    """
    stem = str(path).removesuffix(".py")

    def number(match: re.Match[str]) -> str:
        return "".join(f"_{byte:02x}" for byte in match[0].encode())

    return f"{HOME}.{re.sub('[^A-Za-z0-9]', number, stem)}"


def module_path(name: str) -> str | None:
    """The file of a module's name, or ``None`` if it is no name of ours.

    >>> module_path("engine.config.files._2fhome_2fme_2ftoy")
    '/home/me/toy.py'
    """
    inside = name.removeprefix(f"{HOME}.")
    if inside == name or not re.fullmatch(r"(?:[A-Za-z0-9]|_[0-9a-f]{2})+", inside):
        return None
    parts = re.split(r"((?:_[0-9a-f]{2})+)", inside)
    parts[1::2] = [bytes.fromhex(one.replace("_", "")).decode() for one in parts[1::2]]
    return "".join(parts) + ".py"


def run_as_module(
    name: str,
    path: str,
    text: str,
    given: Any,
    run: Callable[[dict[str, Any]], Variables],
) -> Variables:
    """Run a file as the module ``name``, unless that was done before.

    A file that has not changed is not run again, so that its classes stay the same
    ones; but for a file that makes objects at its top level, such as a model: two runs
    must not share them.

    Args:
        name: What it is called in ``sys.modules``.
        path: The file.
        text: Its text.
        given: What it is given by its bases; compared with the last time's.
        run: Runs it in the module's namespace.
    """
    old = getattr(sys.modules.get(name), "__config_run__", None)
    if (
        isinstance(old, _Run)
        and (old.text, old.given) == (text, given)
        and not _holds_objects(old.variables.values)
    ):
        return old.variables
    module = ModuleType(name)
    module.__file__ = path
    module.__spec__ = ModuleSpec(name, None, origin=path)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        variables = run(vars(module))
    except BaseException:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise
    module.__config_run__ = _Run(text, given, variables)  # type: ignore[attr-defined]  # a note of ours
    return variables


def _holds_objects(value: Any) -> bool:
    """Whether a value is or holds something that two runs must not share."""
    if isinstance(value, dict):
        return any(_holds_objects(item) for item in dict.values(value))
    if isinstance(value, list | tuple | set | frozenset):
        return any(_holds_objects(item) for item in value)
    if isinstance(value, functools.partial):
        return _holds_objects([*value.args, *value.keywords.values()])
    return not (
        isinstance(value, (*_PLAIN, LazyObject, type, ModuleType))
        or inspect.isroutine(value)
    )
