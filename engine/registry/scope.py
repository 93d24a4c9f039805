"""Which scope names are looked up in first while nothing else says so.

The present scope belongs to the context that set it (:mod:`contextvars`): a thread or
a task that is started afresh does not see it, and two runs side by side do not see each
other's.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from engine.errors import RegistryError
from engine.registry.names import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DefaultScope", "current_scope", "init_default_scope"]


class DefaultScope:
    """A scope under a name; the latest that was made in this context is in force.

    Args:
        name: Its own name, by which :meth:`get_instance` finds it again.
        scope_name: The scope, such as ``"engine"``.

    Raises:
        RegistryError: One of them is no text, or empty.

    >>> with DefaultScope.use("mine"):
    ...     DefaultScope.get_current_instance().scope_name
    'mine'
    >>> DefaultScope.get_current_instance() is None
    True
    """

    def __init__(self, name: str, scope_name: str) -> None:
        for what, value in (("name", name), ("scope_name", scope_name)):
            if not isinstance(value, str) or not value:
                message = (
                    f"default scope: {what} must be text that is not empty, "
                    f"found {value!r} ({type(value).__name__})."
                )
                raise RegistryError(message)
        self._name = name
        self._scope_name = scope_name

    @property
    def instance_name(self) -> str:
        """Its own name."""
        return self._name

    @property
    def scope_name(self) -> str:
        """The scope."""
        return self._scope_name

    def __repr__(self) -> str:
        """Both names."""
        return f"DefaultScope({self._name!r}, scope_name={self._scope_name!r})"

    @classmethod
    def get_instance(cls, name: str, scope_name: str | None = None) -> DefaultScope:
        """The instance of that name; one that is not there yet is made, and in force.

        Args:
            name: Its own name.
            scope_name: The scope, if it has to be made.

        Raises:
            RegistryError: It has to be made and ``scope_name`` is missing, or it is
                there with another scope.
        """
        made = {each.instance_name: each for each in _MADE.get()}
        if name in made:
            there = made[name]
            if scope_name is not None and scope_name != there.scope_name:
                message = (
                    f"default scope {name!r} is {there.scope_name!r} already, "
                    f"found scope_name={scope_name!r}. Use another name, or "
                    "overwrite_default_scope for a while."
                )
                raise RegistryError(message)
            return there
        if scope_name is None:
            message = (
                f"no default scope is called {name!r} in this context (there are: "
                f"{', '.join(map(repr, made)) or 'none'}). Give scope_name to make it."
            )
            raise RegistryError(message)
        new = cls(name, scope_name)
        _MADE.set((*_MADE.get(), new))
        return new

    @classmethod
    def get_current_instance(cls) -> DefaultScope | None:
        """The one in force, the latest made in this context, or ``None``."""
        made = _MADE.get()
        return made[-1] if made else None

    @classmethod
    def check_instance_created(cls, name: str) -> bool:
        """Tell whether :meth:`get_instance` made one of that name in this context."""
        return any(each.instance_name == name for each in _MADE.get())

    @classmethod
    @contextmanager
    def overwrite_default_scope(cls, scope_name: str | None) -> Iterator[None]:
        """Have ``scope_name`` in force inside the ``with`` block.

        Args:
            scope_name: The scope. ``None`` leaves the one that is in force.
        """
        if scope_name is None:
            yield
            return
        made = _MADE.get()
        name = f"overwrite {len(made)} by {scope_name}"
        token = _MADE.set((*made, cls(name, scope_name)))
        try:
            yield
        finally:
            _MADE.reset(token)

    @classmethod
    @contextmanager
    def use(
        cls, scope_name: str | None, *, name: str | None = None
    ) -> Iterator[DefaultScope | None]:
        """Know no other default scope than this one inside the ``with`` block.

        A run works in such a block: it neither sees a scope that was in force outside,
        nor leaves one behind, whatever is made inside.

        Args:
            scope_name: The scope. ``None``: none is in force inside.
            name: The instance's own name. ``None``: ``scope_name``.

        Returns:
            A context manager that gives the instance, or ``None`` if there is none.
        """
        one = None if scope_name is None else cls(name or scope_name, scope_name)
        token = _MADE.set(() if one is None else (one,))
        try:
            yield one
        finally:
            _MADE.reset(token)


_MADE: ContextVar[tuple[DefaultScope, ...]] = ContextVar("default scopes", default=())
"""What was made in this context, in order; never changed, only replaced."""


def current_scope() -> str | None:
    """The scope that is in force, by its own name (``engine`` for ``mmengine``)."""
    current = DefaultScope.get_current_instance()
    return None if current is None else canonical(current.scope_name)


def init_default_scope(scope: str) -> DefaultScope:
    """Put ``scope`` in force for what follows in this context.

    Where the end of that is known, a ``with DefaultScope.use(scope):`` is better.

    Args:
        scope: Such as ``"engine"``.

    Returns:
        The :class:`DefaultScope` in force.
    """
    current = DefaultScope.get_current_instance()
    if current is not None and current.scope_name == scope:
        return current
    name, count = scope, 1
    while DefaultScope.check_instance_created(name):
        count += 1
        name = f"{scope} {count}"
    return DefaultScope.get_instance(name, scope_name=scope)
