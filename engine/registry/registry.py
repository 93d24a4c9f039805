"""From names to classes, and from specs to objects.

A look-up goes through these steps and stops at the first that answers::

    "CheckpointHook"          registered here → import the locations, look again
                              → the same in the parent → UnknownNameError
    "engine.CheckpointHook"   the same, but only in the registry of that scope
    "torch.nn.Linear"         registered nowhere → imported as a dotted path

A location is imported by the first look-up that fails without it, so importing
this package imports nothing of the engine's other packages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from engine.errors import (
    DuplicateNameError,
    RegistryError,
    UnknownNameError,
    did_you_mean,
)
from engine.registry.dotted import import_dotted
from engine.registry.names import (
    address,
    calling_module,
    label_of,
    names_for,
    split_key,
)
from engine.registry.spec import check_arguments, check_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.typing import Spec

__all__ = ["Registry"]

Buildable = Callable[..., Any]
T = TypeVar("T", bound=Buildable)

SHOWN_NAMES = 20
"""How many known names an error lists before it only counts the rest."""


class Registry:
    """Names and the classes or functions that they stand for.

    Args:
        name: What one entry is, in the singular; errors read "no hook is called ...".
        build_func: Called as ``build_func(spec, registry=self, **defaults)`` by
            :meth:`build` in place of the usual way. ``None``: the parent's, or the
            usual way.
        parent: Where names are looked up that are not found here.
        scope: First part of a key such as ``"engine.LoggerHook"``. ``None``: the
            top-level package of the module that makes the registry.
        locations: Modules whose import registers more names; imported when a look-up
            first fails without them.

    >>> SHAPES = Registry("shape", scope="demo")
    >>> @SHAPES.register_module()
    ... class Square:
    ...     def __init__(self, side: float) -> None:
    ...         self.side = side
    >>> SHAPES.build({"type": "Square"}, side=2.0).side
    2.0
    >>> SHAPES.get("demo.Square") is Square
    True
    """

    def __init__(
        self,
        name: str,
        build_func: Callable[..., Any] | None = None,
        parent: Registry | None = None,
        scope: str | None = None,
        locations: Sequence[str] = (),
    ) -> None:
        if isinstance(locations, str):  # list("engine.hooks") would be 12 locations
            message = (
                f"registry {name!r}: locations must be a list of module names, "
                f"found the string {locations!r}. Write [{locations!r}]."
            )
            raise RegistryError(message)
        self._name = name
        self._scope = calling_module().partition(".")[0] if scope is None else scope
        self._parent = parent
        self._build_func = build_func
        if build_func is None and parent is not None:
            self._build_func = parent.build_func
        self._locations = tuple(locations)
        self._not_imported = self._locations
        self._modules: dict[str, Buildable] = {}
        self._forced: set[str] = set()

    @property
    def name(self) -> str:
        """What one entry is, in the singular."""
        return self._name

    @property
    def scope(self) -> str:
        """First part of this registry's scoped keys."""
        return self._scope

    @property
    def parent(self) -> Registry | None:
        """The registry that is asked for what is not found here."""
        return self._parent

    @property
    def build_func(self) -> Callable[..., Any] | None:
        """What replaces the usual way to build, if anything does."""
        return self._build_func

    @property
    def locations(self) -> tuple[str, ...]:
        """Modules whose import registers more names."""
        return self._locations

    @property
    def module_dict(self) -> Mapping[str, Buildable]:
        """Read-only view of the names registered so far; imports no location."""
        return MappingProxyType(self._modules)

    def __len__(self) -> int:
        """Count the names registered so far; imports no location."""
        return len(self._modules)

    def __bool__(self) -> bool:
        """A registry is true even while it is empty."""
        return True

    def __contains__(self, key: object) -> bool:
        """Tell whether ``key`` is registered; imports locations, no dotted path."""
        return isinstance(key, str) and self.find(key) is not None

    def __repr__(self) -> str:
        """Name, scope and number of names so far."""
        return (
            f"Registry(name={self._name!r}, scope={self._scope!r}, "
            f"{len(self._modules)} names)"
        )

    @overload
    def register_module(
        self,
        name: str | Sequence[str] | None = None,
        force: bool = False,
        module: None = None,
    ) -> Callable[[T], T]: ...
    @overload
    def register_module(
        self,
        name: str | Sequence[str] | None = None,
        force: bool = False,
        *,
        module: T,
    ) -> T: ...
    @overload
    def register_module(
        self, name: str | Sequence[str] | None, force: bool, module: T
    ) -> T: ...
    def register_module(
        self,
        name: str | Sequence[str] | None = None,
        force: bool = False,
        module: T | None = None,
    ) -> T | Callable[[T], T]:
        """Register a class or function, as a decorator or by a call.

        Args:
            name: Its name, or several. ``None``: its ``__name__``.
            force: Take the name even if something else has it.
            module: What to register. ``None``: the call gives a decorator.

        Returns:
            ``module`` itself, or the decorator, which returns what it decorates.

        Raises:
            DuplicateNameError: Something else has one of the names. Nothing is
                registered then. The very same object again is no error.
            RegistryError: ``name`` is neither text nor a list of it, or ``module``
                cannot be called or has no name.
        """
        if name is not None and not isinstance(name, (str, Sequence)):
            message = (
                f"{self._name}: a name must be text or a list of it, found {name!r}. "
                f"A decorator needs its parentheses: @...register_module()."
            )
            raise RegistryError(message)
        home = calling_module()
        if module is not None:
            self._register(module, name, force=force, home=home)
            return module

        def decorate(decorated: T) -> T:
            self._register(decorated, name, force=force, home=home)
            return decorated

        return decorate

    def find(self, key: str) -> Buildable | None:
        """Look ``key`` up here and in the parents, importing locations, no dotted path.

        Args:
            key: A name, or ``scope.name``.

        Returns:
            The class or function, or ``None``.
        """
        scope, rest = split_key(key)
        keys = [key, rest] if rest and scope == self._scope else [key]
        found = self._find_here(keys)
        if found is None and self._parent is not None:
            return self._parent.find(key)
        return found

    def get(self, key: str) -> Buildable:
        """The class or function that ``key`` stands for.

        Args:
            key: A name, ``scope.name``, or the dotted path of anything importable.

        Raises:
            UnknownNameError: Nothing answers to ``key``; the message has the nearest
                names and the places looked.
        """
        found = self.find(key)
        if found is not None:
            return found
        reason = ""
        if "." in key:
            scope, rest = split_key(key)
            imported, reason = import_dotted(f"{scope}.{rest}")
            if imported is not None:
                return imported
        raise UnknownNameError(self._unknown(key, reason))

    def build(self, spec: Spec, /, **defaults: Any) -> Any:
        """Make the object that ``spec`` describes.

        Args:
            spec: A mapping with ``type`` (a name, a class, any callable, or a dotted
                path) and the arguments for it. It is not changed.
            **defaults: What only the caller knows, passed on by name.

        Returns:
            What ``type`` returns when it is called.

        Raises:
            ConfigError: ``spec`` is no mapping or has no ``type``, ``defaults`` repeat
                one of its keys, or an argument is unknown or missing.
            UnknownNameError: ``type`` names nothing.
        """
        check_spec(spec, defaults, kind=self._name)
        if self._build_func is not None:
            return self._build_func(spec, registry=self, **defaults)
        arguments = {key: value for key, value in spec.items() if key != "type"}
        arguments.update(defaults)
        kind = spec["type"]
        buildable = self.get(kind) if isinstance(kind, str) else kind
        label = kind if isinstance(kind, str) else label_of(kind)
        check_arguments(buildable, arguments, where=f"{self._name}: {label}")
        try:
            return buildable(**arguments)
        except Exception as error:
            error.add_note(f"while building {self._name} {label!r}")
            raise

    def _register(
        self,
        module: Buildable,
        name: str | Sequence[str] | None,
        *,
        force: bool,
        home: str,
    ) -> None:
        if not callable(module):
            message = (
                f"{self._name}: only a class or function can be registered, "
                f"found {module!r}."
            )
            raise RegistryError(message)
        names = names_for(module, name, kind=self._name)
        # All names are checked before the first is taken.
        taken = [
            each
            for each in names
            if not force and self._modules.get(each, module) is not module
        ]
        kept: set[str] = set()
        if any(f"{home}.".startswith(f"{place}.") for place in self._locations):
            # Someone replaced this name on purpose before the location was imported;
            # the late import must not fail, nor win.
            kept = self._forced.intersection(taken)
        for each in taken:
            if each not in kept:
                message = (
                    f"{self._name}: the name {each!r} is taken by "
                    f"{address(self._modules[each])}; {address(module)} needs "
                    f"another name, or force=True to replace it."
                )
                raise DuplicateNameError(message)
        for each in names:
            if each in kept:
                continue
            self._modules[each] = module
            if force:
                self._forced.add(each)

    def _find_here(self, keys: Sequence[str]) -> Buildable | None:
        for key in keys:
            if key in self._modules:
                return self._modules[key]
        if not self._not_imported:
            return None
        self._import_locations()
        return self._find_here(keys)

    def _import_locations(self) -> None:
        # Taken out first: a look-up from inside such an import must not start over.
        waiting, self._not_imported = self._not_imported, ()
        left = list(waiting)
        try:
            while left:
                import_module(left[0])
                del left[0]
        except Exception as error:
            self._not_imported = tuple(left)
            error.add_note(
                f"while importing {left[0]!r}, which registers each {self._name}",
            )
            raise

    def _unknown(self, key: str, reason: str) -> str:
        chain: list[Registry] = [self]
        while chain[-1].parent is not None:
            chain.append(chain[-1].parent)
        scope, rest = split_key(key)
        name = rest if scope in [each.scope for each in chain] else key
        known = sorted({each for registry in chain for each in registry.module_dict})
        listed = known[:SHOWN_NAMES] or ["nothing"]
        if len(known) > SHOWN_NAMES:
            listed.append(f"and {len(known) - SHOWN_NAMES} more")
        looked = " and ".join(map(_place, chain))
        return (
            f"no {self._name} is called {key!r}.{did_you_mean(name, known)}{reason} "
            f"Looked in {looked}. Known: {', '.join(listed)}."
        )


def _place(registry: Registry) -> str:
    """Where a look-up looked, for messages."""
    place = f"registry {registry.name!r} of scope {registry.scope!r}"
    filled = ", ".join(registry.locations)
    return f"{place} (filled by {filled})" if filled else place
