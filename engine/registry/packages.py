"""Importing the package that is called like a scope, for the names it registers."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from engine.registry.dotted import import_if_there

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["import_package", "register_all"]


def import_package(scope: str) -> bool:
    """Import the package ``scope`` and its module ``registry``, where they exist.

    Args:
        scope: Such as ``"mine"``; what cannot be a package's name is none.

    Returns:
        Whether there is such a package.

    Raises:
        Exception: What the import raised, with a note.
    """
    if not scope.isidentifier() or _import(scope, scope) is None:
        return False
    _import(f"{scope}.registry", scope)
    return True


def register_all(scope: str) -> None:
    """Call ``register_all_modules`` of the module ``scope.utils``, if there is one.

    It is told not to set the default scope, if it can be told.

    Args:
        scope: A package that can be imported.

    Raises:
        Exception: What the import or the function raised, with a note.
    """
    function = getattr(_import(f"{scope}.utils", scope), "register_all_modules", None)
    if not callable(function):
        return
    told = "init_default_scope" in inspect.signature(function).parameters
    arguments = {"init_default_scope": False} if told else {}
    _noted(lambda: function(**arguments), f"{scope}.utils.register_all_modules()")


def _import(module: str, scope: str) -> Any:
    note = f"import of {module!r}, which may register names of the scope {scope!r}"
    return _noted(lambda: import_if_there(module), note)


def _noted(call: Callable[[], Any], note: str) -> Any:
    try:
        return call()
    except Exception as error:
        error.add_note(f"in the {note}")
        raise
