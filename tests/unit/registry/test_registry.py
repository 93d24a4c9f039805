"""Registering names, looking them up, and building from specs."""

from __future__ import annotations

import re
import sys
from functools import partial
from importlib import import_module
from threading import Event, Thread
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import (
    ConfigError,
    DuplicateNameError,
    RegistryError,
    UnknownNameError,
)
from engine.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable


class Ema:
    """A toy hook that remembers how it was built."""

    def __init__(self, interval: int = 1, *, store: object = None) -> None:
        self.interval = interval
        self.store = store


class Timer:
    """Another toy hook."""


def notes_of(error: BaseException) -> list[str]:
    """Notes of an error; Python 3.10's errors have the attribute only if set."""
    return list(getattr(error, "__notes__", []))


@pytest.fixture
def hooks() -> Registry:
    """A registry with one hook."""
    registry = Registry("hook", scope="engine")
    registry.register_module(module=Ema)
    return registry


# ------------------------------------------------------------------- registering


def test_a_decorator_registers_under_the_class_name() -> None:
    """``@register_module()`` takes ``__name__`` and gives the class back."""
    registry = Registry("hook", scope="engine")

    @registry.register_module()
    class Swa:
        pass

    assert isinstance(Swa, type)
    assert registry.get("Swa") is Swa


def test_a_decorator_registers_under_several_names() -> None:
    """A list of names gives each of them, and not the class name."""
    registry = Registry("hook", scope="engine")
    registry.register_module(name=["a", "b"])(Ema)
    assert dict(registry.module_dict) == {"a": Ema, "b": Ema}


def test_arguments_are_positional_as_in_mmengine(hooks: Registry) -> None:
    """Name, force and module may be given by position."""
    assert hooks.register_module("Ema", True, Timer) is Timer
    assert hooks.get("Ema") is Timer


def test_the_same_object_may_be_registered_again(hooks: Registry) -> None:
    """Registering twice is a no-op if it is the very same object."""
    hooks.register_module(module=Ema)
    assert len(hooks) == 1


def test_a_taken_name_is_an_error_that_names_both(hooks: Registry) -> None:
    """The message has the name, its owner and the one that came late."""
    expected = "hook: the name 'Ema' is taken by .*Ema; .*Timer needs another name"
    with pytest.raises(DuplicateNameError, match=expected):
        hooks.register_module("Ema", module=Timer)
    assert hooks.get("Ema") is Ema


def test_one_taken_name_of_several_registers_none(hooks: Registry) -> None:
    """A list with a taken name leaves the registry as it was."""
    with pytest.raises(DuplicateNameError, match="'Ema' is taken"):
        hooks.register_module(["fresh", "Ema"], module=Timer)
    assert "fresh" not in hooks


def test_force_replaces(hooks: Registry) -> None:
    """``force=True`` takes a name from its owner."""
    hooks.register_module("Ema", force=True, module=Timer)
    assert hooks.get("Ema") is Timer


def test_a_decorator_without_parentheses_is_told(hooks: Registry) -> None:
    """A class in place of the name says that parentheses are missing."""
    with pytest.raises(RegistryError, match="needs its parentheses"):
        hooks.register_module(Timer)  # type: ignore[call-overload] # the mistake


def test_only_callables_can_be_registered(hooks: Registry) -> None:
    """A plain value is refused by name of the registry."""
    with pytest.raises(RegistryError, match=r"hook: only a class or function .* 3"):
        hooks.register_module("three", module=3)  # type: ignore[call-overload] # wrong


def test_locations_must_be_a_list() -> None:
    """One string would be read as a list of letters."""
    with pytest.raises(RegistryError, match=re.escape("Write ['engine.hooks']")):
        Registry("hook", locations="engine.hooks")


def test_scope_defaults_to_the_package_that_makes_it() -> None:
    """Without a scope it is the top-level package of the caller."""
    assert Registry("hook").scope == __name__.partition(".")[0]


def test_what_a_file_defines_again_takes_the_place_of_the_old() -> None:
    """A cell or module that runs again registers its new class without force."""
    registry = Registry("hook", scope="engine")
    text = "@registry.register_module()\nclass Swa: ..."
    for _ in range(2):
        names = {"registry": registry, "__name__": "notebook"}
        exec(text, names)  # noqa: S102  # what a notebook does
        assert registry.get("Swa") is names["Swa"]


def test_what_a_function_defines_is_new_each_time() -> None:
    """Two classes out of one factory are two, so the second needs its own name."""
    registry = Registry("hook", scope="engine")

    def make() -> type:
        class Made: ...

        return Made

    registry.register_module(module=make())
    with pytest.raises(DuplicateNameError, match="'Made' is taken"):
        registry.register_module(module=make())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"name": ""}, "its name must be text that is not empty, found ''"),
        ({"name": 3}, "its name must be text that is not empty, found 3"),
        ({"name": "x", "scope": "a.b"}, "text without dots, found 'a.b'"),
        ({"name": "x", "scope": 3}, "text without dots, found 3"),
        ({"name": "x", "parent": "y"}, "its parent must be a Registry, found 'y'"),
    ],
)
def test_settings_that_no_registry_can_have(
    settings: dict[str, Any], expected: str
) -> None:
    """What cannot be named or climbed is refused when the registry is made."""
    with pytest.raises(RegistryError, match=f"^registry .*{expected}"):
        Registry(**settings)


def test_the_caller_can_ask_for_its_scope() -> None:
    """``infer_scope`` is what a registry made here would get."""
    assert Registry.infer_scope() == Registry("hook").scope


# -------------------------------------------------------------------- looking up


def test_only_text_is_looked_up(hooks: Registry) -> None:
    """A class is no key."""
    with pytest.raises(RegistryError, match=r"hook: a name is looked up by text, .*Ti"):
        hooks.get(Timer)  # type: ignore[arg-type] # the mistake


def test_several_near_names_are_offered(hooks: Registry) -> None:
    """Up to three names that are near stand in the question."""
    hooks.register_module("Emu", module=Timer)
    with pytest.raises(UnknownNameError, match=r"Did you mean 'Emu' or 'Ema'\?"):
        hooks.get("Em")


def test_an_unknown_name_gives_the_nearest_and_where_it_looked(hooks: Registry) -> None:
    """The error is a LookupError with suggestion, registry and known names."""
    expected = (
        "no hook is called 'Emo'. Did you mean 'Ema'? "
        "Looked in registry 'hook' of scope 'engine'. Known: Ema."
    )
    with pytest.raises(LookupError) as caught:
        hooks.get("Emo")
    assert isinstance(caught.value, UnknownNameError)
    assert str(caught.value) == expected


def test_many_known_names_are_counted() -> None:
    """The message lists twenty names and counts the rest."""
    registry = Registry("hook", scope="engine")
    registry.register_module([f"h{i:02}" for i in range(23)], module=Ema)
    with pytest.raises(UnknownNameError, match=r"h18, h19, and 3 more\.$"):
        registry.get("zzz")


@pytest.mark.parametrize("key", ["engine.Ema", "mmengine.Ema"])
def test_our_scope_has_two_names(hooks: Registry, key: str) -> None:
    """``mmengine`` is another name of our own scope."""
    assert hooks.get(key) is Ema
    assert key in hooks


def test_another_scope_does_not_answer() -> None:
    """A key with a scope is not looked up in registries of other scopes."""
    registry = Registry("hook", scope="mine")
    registry.register_module(module=Ema)
    with pytest.raises(UnknownNameError, match=r"'engine.Ema'"):
        registry.get("engine.Ema")


def test_a_scoped_key_gets_a_suggestion_too(hooks: Registry) -> None:
    """The nearest name is looked for without the scope."""
    with pytest.raises(UnknownNameError, match="Did you mean 'Ema'"):
        hooks.get("engine.Emo")


def test_a_dotted_path_is_imported(hooks: Registry) -> None:
    """What is registered nowhere may be named by its path, but is not contained."""
    assert hooks.get("fractions.Fraction").__name__ == "Fraction"
    assert "fractions.Fraction" not in hooks


def test_a_path_into_our_package_may_use_its_other_name(hooks: Registry) -> None:
    """A config written for MMEngine does not import MMEngine."""
    assert hooks.get("mmengine.errors.ConfigError") is ConfigError


def test_a_registered_name_with_dots_wins_over_an_import(hooks: Registry) -> None:
    """A look-up asks the names first."""
    hooks.register_module("fractions.Fraction", module=Ema)
    assert hooks.get("fractions.Fraction") is Ema


def test_the_parent_is_asked_next(hooks: Registry) -> None:
    """A child finds its own name first, then its parent's; a scope picks one."""
    child = Registry("hook", parent=hooks, scope="mine")
    child.register_module("Own", module=Timer)
    assert child.get("Ema") is Ema
    child.register_module("Ema", module=Timer)
    assert child.get("Ema") is Timer
    assert child.get("engine.Ema") is Ema
    with pytest.raises(UnknownNameError, match="'mine' and registry 'hook' of scope"):
        child.get("Emo")


def test_an_empty_registry_is_true() -> None:
    """``registry or other`` must not skip a registry without names."""
    registry = Registry("hook", scope="engine")
    assert registry
    assert len(registry) == 0


# --------------------------------------------------------------------- locations


@pytest.fixture
def lazy(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry that fills itself from the module ``lazy_parts``."""
    registry = Registry("hook", scope="engine", locations=["lazy_parts"])
    monkeypatch.setattr(sys.modules["__main__"], "LAZY", registry, raising=False)
    return registry


PART = """
from __main__ import LAZY

@LAZY.register_module()
class Part: ...
"""


def test_locations_are_imported_at_the_first_failed_look_up(
    lazy: Registry, parts: Callable[..., None]
) -> None:
    """Nothing is imported until a name is asked for that is not there."""
    parts(lazy_parts=PART)
    lazy.register_module(module=Ema)
    lazy.get("Ema")
    assert len(lazy) == 1
    assert "lazy_parts" not in sys.modules
    assert lazy.get("Part").__module__ == "lazy_parts"
    assert "Part" in lazy


def test_an_error_in_a_location_is_raised_with_a_note_each_time(
    lazy: Registry, parts: Callable[..., None]
) -> None:
    """A broken location is not taken for one without names, nor forgotten."""
    parts(lazy_parts="1 / 0")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError) as caught:
            lazy.get("Part")
        assert "while importing 'lazy_parts'" in notes_of(caught.value)[0]


def test_two_threads_may_look_up_first(
    lazy: Registry, parts: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second waits for the first one's import in place of finding nothing."""
    started, finish, found = Event(), Event(), []
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "STARTED", started, raising=False)
    monkeypatch.setattr(main, "FINISH", finish, raising=False)
    wait = "import __main__\n__main__.STARTED.set()\n__main__.FINISH.wait(60)\n"
    parts(lazy_parts=wait + PART)
    first = Thread(target=lambda: found.append(lazy.get("Part")))
    first.start()
    assert started.wait(60)
    # From here on the import ends only when the second look-up joins it.
    sure = partial(_after, finish.set)
    monkeypatch.setattr("engine.registry.registry.import_module", sure)
    try:
        found.append(lazy.get("Part"))
    finally:
        finish.set()
        first.join()
    assert [each.__name__ for each in found] == ["Part", "Part"]


def _after(do: Callable[[], None], module: str) -> object:
    do()
    return import_module(module)


def test_a_look_up_from_inside_a_location_does_not_start_over(
    lazy: Registry, parts: Callable[..., None]
) -> None:
    """A location that looks names up while it is imported ends."""
    parts(lazy_parts=PART + "assert 'Other' not in LAZY\n")
    assert lazy.get("Part").__name__ == "Part"


def test_a_forced_name_survives_the_late_import(
    lazy: Registry, parts: Callable[..., None]
) -> None:
    """A user who replaced a built-in before it was loaded keeps the replacement."""
    parts(lazy_parts=PART + "LAZY.register_module('Timer', module=dict)\n")
    lazy.register_module("Part", force=True, module=Ema)
    lazy.register_module("Timer", force=True, module=Timer)
    assert "nothing" not in lazy
    assert dict(lazy.module_dict) == {"Part": Ema, "Timer": Timer}


def test_a_name_taken_without_force_fails_the_late_import(
    lazy: Registry, parts: Callable[..., None]
) -> None:
    """Two owners of a name are an error in whatever order they come."""
    parts(lazy_parts=PART)
    lazy.register_module("Part", module=Ema)
    with pytest.raises(DuplicateNameError, match=r"'Part' is taken by .*Ema"):
        lazy.get("Other")


def test_a_forced_name_does_not_excuse_another(
    lazy: Registry, parts: Callable[..., None]
) -> None:
    """Of several names in a location, one that was merely taken is still an error."""
    body = "LAZY.register_module(['a', 'b'], module=int)"
    parts(lazy_parts=f"from __main__ import LAZY\n{body}")
    lazy.register_module("a", force=True, module=Ema)
    lazy.register_module("b", module=Timer)
    with pytest.raises(DuplicateNameError, match=r"'b' is taken by .*Timer"):
        lazy.get("c")


def test_a_forced_name_is_not_silently_kept_from_others(hooks: Registry) -> None:
    """Only the locations' own registrations give way to a forced one."""
    hooks.register_module("Ema", force=True, module=Timer)
    with pytest.raises(DuplicateNameError, match=r"'Ema' is taken by .*Timer"):
        hooks.register_module("Ema", module=dict)


# ---------------------------------------------------------------------- building


def test_build_passes_the_spec_and_the_defaults(hooks: Registry) -> None:
    """Arguments come from both; the spec is not changed."""
    spec = MappingProxyType({"type": "Ema", "interval": 5})
    store = object()
    built = hooks.build(spec, store=store)
    assert (type(built), built.interval, built.store) == (Ema, 5, store)


@pytest.mark.parametrize("kind", [Ema, "engine.Ema", "Ema"])
def test_type_may_be_a_name_or_a_class(hooks: Registry, kind: Any) -> None:
    """A class need not be registered by that name."""
    assert isinstance(hooks.build({"type": kind}), Ema)


def test_type_may_be_any_callable_or_a_dotted_path(hooks: Registry) -> None:
    """A function's result is what is built, a path is imported."""
    assert hooks.build({"type": lambda size: size + 1, "size": 1}) == 2
    assert hooks.build({"type": "fractions.Fraction", "numerator": 3}) == 3


def test_a_spec_may_use_names_of_our_own_arguments(hooks: Registry) -> None:
    """``spec`` and ``self`` are free to be arguments of what is built."""
    built = hooks.build({"type": dict, "self": 1}, spec=2)
    assert built == {"self": 1, "spec": 2}


def test_a_default_may_not_repeat_the_spec(hooks: Registry) -> None:
    """What the run sets cannot be set by the user too."""
    expected = "hook: 'interval' is set by the run, found interval=5 in the spec too"
    with pytest.raises(ConfigError, match=expected):
        hooks.build({"type": "Ema", "interval": 5}, interval=6)


def test_an_unknown_argument_is_told_before_the_call(hooks: Registry) -> None:
    """The message names registry, class, argument and the nearest one."""
    expected = (
        "hook: Ema has no argument 'intervall'. Did you mean 'interval'? "
        "It takes 'interval', 'store'."
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(expected)}$"):
        hooks.build({"type": "Ema", "intervall": 5})


def test_an_error_in_a_constructor_keeps_its_type_and_gains_a_note() -> None:
    """A TypeError from inside is not taken for a wrong argument."""
    registry = Registry("hook", scope="engine")
    given = {"size": 3, "parts": list(range(9))}

    @registry.register_module()
    def broken(size: int, parts: list[object], store: object) -> None:
        raise TypeError("from inside")

    with pytest.raises(TypeError, match=r"^from inside") as caught:
        registry.build({"type": "broken", **given}, store=object())
    (note,) = notes_of(caught.value)
    assert note.startswith("while building hook 'broken' (tests.unit.registry.")
    assert note.endswith("broken) from size=3, parts=[0, 1, 2, 3, 4, 5, ...]")


def test_build_func_replaces_the_usual_way_and_is_inherited() -> None:
    """It is called with the spec, the registry that was asked, and the defaults."""

    def build_func(spec: Any, *, registry: Registry, **defaults: Any) -> Any:
        return spec, registry, defaults

    parent = Registry("converter", build_func, scope="mine")
    child = Registry("converter", parent=parent, scope="mine")
    spec = {"type": "x"}
    assert child.build(spec, size=2) == (spec, child, {"size": 2})


def test_default_args_give_way_to_the_spec(hooks: Registry) -> None:
    """MMEngine's way to pass defaults: the spec overrides them."""
    built = hooks.build({"type": "Ema", "interval": 5}, default_args={"interval": 6})
    assert built.interval == 5
    assert hooks.build({"type": "Ema"}, default_args={"interval": 6}).interval == 6


def test_the_spec_may_be_given_by_its_name(hooks: Registry) -> None:
    """MMEngine's users write ``build(cfg=...)``."""
    assert isinstance(hooks.build(cfg={"type": "Ema"}), Ema)


def test_a_second_positional_argument_is_told(hooks: Registry) -> None:
    """Only a build function of the user's own can know what it means."""
    with pytest.raises(ConfigError, match=r"hook: build takes a spec .*default_args="):
        hooks.build({"type": "Ema"}, {"interval": 6})


def test_a_build_func_takes_arguments_by_position() -> None:
    """They go to a user's function as they are."""

    def build_func(spec: Any, size: int, *, registry: Registry) -> Any:
        return size

    assert Registry("x", build_func, scope="mine").build({}, 3) == 3
