"""Things found by the dotted path under which Python imports them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from engine.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["import_dotted", "import_if_there"]


def import_dotted(path: str) -> tuple[Callable[..., Any] | None, str]:
    """Import the callable at a dotted path.

    An error inside an imported module, a missing dependency among them, is raised as
    it is: only a path that leads nowhere is "not found".

    Args:
        path: Such as ``"torch.nn.Linear"``; classes may be nested, and a method of a
            class counts.

    Returns:
        The callable and ``""``, or ``None`` and a sentence, with a leading blank, that
        says how far the path led.

    >>> import_dotted("collections.OrderedDict")[0]
    <class 'collections.OrderedDict'>
    >>> import_dotted("collections.abc.Nothing")
    (None, " Nothing to import either: 'collections.abc' has no 'Nothing'.")
    """
    parts = path.split(".")
    if not all(part.isidentifier() for part in parts):
        return None, " Nothing to import either: that is no dotted path."
    found = import_if_there(parts[0])
    if found is None:
        return None, f" Nothing to import either: no module {parts[0]!r} is installed."
    for end, part in enumerate(parts[1:], start=1):
        here = ".".join(parts[:end])
        step = getattr(found, part, None)
        if step is None and isinstance(found, ModuleType):
            step = import_if_there(f"{here}.{part}")
        if step is None:
            hint = did_you_mean(part, vars(found))
            return None, f" Nothing to import either: {here!r} has no {part!r}.{hint}"
        found = step
    if not callable(found):
        kind = type(found).__name__
        return None, f" The path leads to a {kind}, which cannot be called."
    return found, ""


def import_if_there(module: str) -> Any:
    """The module, or ``None`` if there is none of that name.

    Raises:
        ImportError: The module is there, and lacks a dependency of its own.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module:
            return None
        raise
