"""From names to classes, and from specs to objects.

A look-up goes through these steps and stops at the first that answers::

    "CheckpointHook"          registered here → import the locations, look again
                              → the same in the parent, up to the root
                              → UnknownNameError
    "mine.CheckpointHook"     the same, from the registry of that scope in this tree;
                              is there none, the package "mine" is imported first
    "torch.nn.Linear"         registered nowhere → imported as a dotted path

While a default scope is in force (:class:`DefaultScope`), a key without a scope is
looked up in the registry of that scope first; a parent of the registry that is asked
has to wait for its turn, whatever the default scope is.

A location is imported by the first look-up that fails without it, so importing
this package imports nothing of the engine's other packages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from threading import get_ident
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from engine.errors import (
    ConfigError,
    DuplicateNameError,
    RegistryError,
    UnknownNameError,
)
from engine.registry.build import BUILD_FUNCS, build_from_cfg
from engine.registry.dotted import import_dotted
from engine.registry.names import (
    address,
    calling_module,
    canonical,
    is_same_definition,
    names_for,
    split_key,
)
from engine.registry.packages import import_package, register_all
from engine.registry.scope import DefaultScope, current_scope
from engine.registry.search import search
from engine.registry.tree import chain, holder_of, places
from engine.registry.unknown import unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Registry"]

Buildable = Callable[..., Any]
T = TypeVar("T", bound=Buildable)


class Registry:
    """Names and the classes or functions that they stand for.

    Args:
        name: What one entry is, in the singular; errors read "no hook is called ...".
        build_func: Called as ``build_func(spec, registry=self, **defaults)`` by
            :meth:`build` in place of :func:`build_from_cfg`. ``None``: the parent's, or
            the usual way.
        parent: Where names are looked up that are not found here; it lists this
            registry among its ``children``.
        scope: First part of a key such as ``"engine.LoggerHook"``. ``None``: the
            top-level package of the module that makes the registry.
        locations: Modules whose import registers more names; imported when a look-up
            first fails without them.
        family: Other registries by the names that users know them by; errors tell which
            of them has a name that is not found. A child has its root's.

    Raises:
        DuplicateNameError: ``parent`` has a child of that scope, with another name or
            made by another module. The same one made again (a notebook's cell, a
            module loaded again) takes the place of the first.
        RegistryError: An argument is none of the above.

    >>> SHAPES = Registry("shape", scope="demo")
    >>> @SHAPES.register_module()
    ... class Square:
    ...     def __init__(self, side: float) -> None:
    ...         self.side = side
    >>> SHAPES.build({"type": "Square"}, side=2.0).side
    2.0
    >>> SHAPES.get("demo.Square") is Square
    True
    >>> ROUND = Registry("shape", parent=SHAPES, scope="round")
    >>> ROUND.register_module("Circle", module=complex)
    <class 'complex'>
    >>> SHAPES.get("round.Circle"), ROUND.get("Square") is Square
    (<class 'complex'>, True)
    """

    def __init__(
        self,
        name: str,
        build_func: Callable[..., Any] | None = None,
        parent: Registry | None = None,
        scope: str | None = None,
        locations: Sequence[str] = (),
        *,
        family: Mapping[str, Registry] | None = None,
    ) -> None:
        self._home = calling_module()
        scope = self._home.partition(".")[0] if scope is None else scope
        _check_settings(name, parent, scope, locations)
        self._name = name
        self._scope = canonical(scope)
        self._parent = parent
        self._children: dict[str, Registry] = {}
        self._build_func = build_func
        if build_func is None and parent is not None:
            self._build_func = parent.build_func
        self._family = {} if family is None else family
        self._locations = tuple(locations)
        self._not_imported = self._locations
        self._importing: set[int] = set()  # threads
        self._reached: set[str] = set()
        self._modules: dict[str, Buildable] = {}
        self._forced: set[str] = set()
        if parent is not None:
            parent.add_child(self)

    @staticmethod
    def infer_scope() -> str:
        """The top-level package of the module that calls this."""
        return calling_module().partition(".")[0]

    @staticmethod
    def split_scope_key(key: str) -> tuple[str | None, str]:
        """Scope and rest of a key; the scope is ``None`` if the key has none.

        >>> Registry.split_scope_key("mine.Ema"), Registry.split_scope_key("Ema")
        (('mine', 'Ema'), (None, 'Ema'))
        """
        scope, rest = split_key(key)
        return (scope, rest) if rest else (None, key)

    @property
    def name(self) -> str:
        """What one entry is, in the singular."""
        return self._name

    @property
    def scope(self) -> str:
        """First part of this registry's scoped keys; ``engine`` for ``mmengine``."""
        return self._scope

    @property
    def parent(self) -> Registry | None:
        """The registry that is asked for what is not found here."""
        return self._parent

    @property
    def children(self) -> Mapping[str, Registry]:
        """Read-only view of the registries whose parent this is, by scope."""
        return MappingProxyType(self._children)

    @property
    def root(self) -> Registry:
        """The registry at the top of this tree; itself if it has no parent."""
        return chain(self)[-1]

    @property
    def home(self) -> str:
        """Name of the module that made this registry."""
        return self._home

    @property
    def family(self) -> Mapping[str, Registry]:
        """Other registries by the names that users know them by."""
        return MappingProxyType(self._family)

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
                registered then. The very same object again is no error, and what
                has the same place in the same module takes the place of the old: it is
                the old one, loaded again.
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

    def add_child(self, child: Registry) -> None:
        """List ``child`` among the children; its constructor does this.

        Args:
            child: A registry whose parent this is.

        Raises:
            DuplicateNameError: Another child has its scope; see the class.
        """
        there = self._children.get(child.scope)
        if there is not None and (there.name, there.home) != (child.name, child.home):
            message = (
                f"registry {self._name!r} of scope {self._scope!r} has a child of "
                f"scope {child.scope!r} already: {there.name!r}, made by {there.home}; "
                f"{child.name!r}, made by {child.home}, needs another scope."
            )
            raise DuplicateNameError(message)
        self._children[child.scope] = child

    def import_from_location(self) -> None:
        """Import the locations that are not imported yet.

        Raises:
            Exception: What an import raised, with a note; the next call tries again.
        """
        thread = get_ident()
        # A look-up from inside such an import must not start over. Another thread
        # may: it waits in import_module until the first is through.
        if not self._not_imported or thread in self._importing:
            return
        self._importing.add(thread)
        place = ""
        try:
            for place in self._not_imported:
                import_module(place)
        except Exception as error:
            error.add_note(
                f"while importing {place!r}, which registers each {self._name}",
            )
            raise
        finally:
            self._importing.discard(thread)
        self._not_imported = ()

    @contextmanager
    def switch_scope_and_registry(self, scope: str | None) -> Iterator[Registry]:
        """Have another default scope in force inside the ``with`` block.

        Args:
            scope: The scope. ``None`` leaves the one that is in force, if any.

        Returns:
            A context manager that gives the registry which is asked first meanwhile:
            the one of the scope in force, or this one if there is none of that scope.
        """
        with DefaultScope.overwrite_default_scope(scope):
            self._reach_default_scope()
            yield places(self, current_scope())[0]

    def find(self, key: str) -> Buildable | None:
        """Look ``key`` up as :meth:`get` does, but import no package nor dotted path.

        Locations are imported.

        Args:
            key: A name, or ``scope.name``.

        Returns:
            The class or function, or ``None``.
        """
        return search(key, self, places(self, current_scope()))

    def get(self, key: str) -> Buildable:
        """The class or function that ``key`` stands for.

        Args:
            key: A name, ``scope.name``, or the dotted path of anything importable.

        Raises:
            RegistryError: ``key`` is no text.
            UnknownNameError: Nothing answers to ``key``; the message has the nearest
                names, the places looked, and who else has the name.
        """
        if not isinstance(key, str):
            message = (
                f"{self._name}: a name is looked up by text, found {key!r} "
                f"({type(key).__name__})."
            )
            raise RegistryError(message)
        self._reach_default_scope()
        found = self.find(key)
        if found is not None:
            return found
        reason = ""
        scope, rest = split_key(key)
        if rest:
            unheard = holder_of(scope, self) is None
            if unheard and import_package(scope):
                found = self.find(key)
            if found is None:
                found, reason = import_dotted(f"{scope}.{rest}")
            if found is None and unheard and self._reach(scope):
                found = self.find(key)
        if found is None:
            raise UnknownNameError(unknown_name(self, key, reason))
        return found

    def build(self, cfg: Any, *args: Any, **defaults: Any) -> Any:
        """Make the object that ``cfg`` describes.

        Args:
            cfg: A mapping with ``type`` (a name, a class, any callable, or a dotted
                path) and the arguments for it; ``_scope_`` names the scope to look
                names up in, for this and for what is built meanwhile. It is not
                changed. A ``build_func`` may take more: that of ``MODELS`` takes a list
                of such mappings.
            *args: For a ``build_func`` of the user's own that takes some.
            **defaults: What only the caller knows, passed on by name. As
                ``default_args``: a mapping of arguments that ``cfg`` overrides.

        Returns:
            What ``type`` returns when it is called.

        Raises:
            ConfigError: ``cfg`` is no mapping or has no ``type``, ``defaults`` repeat
                one of its keys, or an argument is unknown or missing.
            UnknownNameError: ``type`` names nothing.
        """
        build_func: Buildable = self._build_func or build_from_cfg
        if args and build_func in BUILD_FUNCS:
            message = (
                f"{self._name}: build takes a spec and what is given by name, found "
                f"{args[0]!r} ({type(args[0]).__name__}) by position. Write "
                "default_args=... for arguments that the spec overrides."
            )
            raise ConfigError(message)
        return build_func(cfg, *args, registry=self, **defaults)

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
            if not force
            and not is_same_definition(self._modules.get(each, module), module)
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

    def _reach_default_scope(self) -> None:
        scope = current_scope()
        if scope is not None and holder_of(scope, self) is None:
            self._reach(scope)

    def _reach(self, scope: str) -> bool:
        """Import the package called ``scope`` for the registry it may bring.

        Returns:
            Whether there is such a package and it was not asked before.
        """
        if scope in self._reached or not import_package(scope):
            return False
        self._reached.add(scope)
        try:
            if holder_of(scope, self) is None:
                register_all(scope)
        except BaseException:
            self._reached.discard(scope)  # its error comes again with the next look-up
            raise
        return True


def _check_settings(
    name: object, parent: object, scope: object, locations: object
) -> None:
    """Raise unless a registry can be made of these."""
    what = ""
    if not isinstance(name, str) or not name:
        what = f"its name must be text that is not empty, found {name!r}."
    elif parent is not None and not isinstance(parent, Registry):
        what = f"its parent must be a Registry, found {parent!r}."
    elif not isinstance(scope, str) or "." in scope:
        # Keys are split at the first dot: such a scope could never be named.
        what = f"its scope must be text without dots, found {scope!r}."
    elif isinstance(locations, str):  # list("engine.hooks") would be 12 locations
        what = (
            "locations must be a list of module names, found the string "
            f"{locations!r}. Write [{locations!r}]."
        )
    if what:
        message = f"registry {name!r}: {what}"
        raise RegistryError(message)
