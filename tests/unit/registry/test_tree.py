"""Registries with parents and children."""

from __future__ import annotations

import pytest

from engine.errors import DuplicateNameError, UnknownNameError
from engine.registry import DefaultScope, Registry
from engine.registry.tree import chain, holder_of, places, walk


class Head: ...


class OtherHead: ...


class Neck: ...


@pytest.fixture
def root() -> Registry:
    """Our scope."""
    return Registry("model", scope="engine")


@pytest.fixture
def mine(root: Registry) -> Registry:
    """A child with a class called Head."""
    child = Registry("model", parent=root, scope="mine")
    child.register_module(module=Head)
    return child


@pytest.fixture
def other(root: Registry, mine: Registry) -> Registry:
    """Another child with a class called Head, and a Neck."""
    child = Registry("model", parent=root, scope="other")
    child.register_module("Head", module=OtherHead)
    child.register_module(module=Neck)
    return child


def test_a_child_is_listed_by_its_scope(root: Registry, mine: Registry) -> None:
    """Parent and child know each other; a root has no parent."""
    assert dict(root.children) == {"mine": mine}
    assert mine.parent is root
    assert mine.root is root.root is root


def test_a_second_child_of_a_scope_is_refused(root: Registry, mine: Registry) -> None:
    """The message names both and who made them."""
    expected = "a child of scope 'mine' already: 'model', made by tests.*; 'loss', made"
    with pytest.raises(DuplicateNameError, match=expected):
        Registry("loss", parent=root, scope="mine")
    assert dict(root.children) == {"mine": mine}


def test_a_child_that_is_made_again_takes_its_place(
    root: Registry, mine: Registry
) -> None:
    """A notebook's cell may run twice."""
    again = Registry("model", parent=root, scope="mine")
    assert dict(root.children) == {"mine": again}


def test_the_ways_through_a_tree(
    root: Registry, mine: Registry, other: Registry
) -> None:
    """Up by parents, down by levels."""
    small = Registry("model", parent=mine, scope="small")
    assert chain(small) == [small, mine, root]
    assert list(walk(root)) == [root, mine, other, small]
    assert holder_of("small", other) is small
    assert holder_of("mine", small) is mine
    assert holder_of("none", small) is None
    assert places(other, "small") == [small, mine, other, root]
    assert places(small, "engine") == [small, mine, root]


# ------------------------------------------------------------------------- scopes


def test_a_scope_leads_down_and_across(
    root: Registry, mine: Registry, other: Registry
) -> None:
    """From a parent to its child, and from one child to another over the root."""
    assert root.get("mine.Head") is Head
    assert other.get("mine.Head") is Head
    assert mine.get("other.Neck") is Neck


def test_scopes_may_be_chained(root: Registry, mine: Registry) -> None:
    """Each part of a key is looked up in the registry that the one before led to."""
    small = Registry("model", parent=mine, scope="small")
    small.register_module(module=Neck)
    assert root.get("mine.small.Neck") is root.get("small.Neck") is Neck


def test_a_scope_goes_on_to_its_parents(root: Registry, mine: Registry) -> None:
    """``mine.Neck`` is the name as it is understood in ``mine``."""
    root.register_module(module=Neck)
    assert root.get("mine.Neck") is Neck


def test_a_parent_does_not_ask_its_children(root: Registry, mine: Registry) -> None:
    """A name without scope is not found in a child, but the error tells where it is."""
    with pytest.raises(UnknownNameError, match=r"'mine' has it: write 'mine\.Head'"):
        root.get("Head")


def test_an_unknown_scope_is_told(root: Registry, mine: Registry) -> None:
    """The message names the scope, those that there are, and the missing package."""
    with pytest.raises(UnknownNameError) as caught:
        root.get("no_such_scope.Head")
    assert str(caught.value) == (
        "no model is called 'no_such_scope.Head'. The scope 'mine' has it: write "
        "'mine.Head'. Nothing to import either: no module 'no_such_scope' is "
        "installed. No registry here has the scope 'no_such_scope' (there are: "
        "'engine', 'mine'). Looked in registry 'model' of scope 'engine'. Known: "
        "nothing."
    )


def test_an_unknown_scope_does_not_hide_what_is_near(mine: Registry) -> None:
    """The nearest name is looked for without the scope."""
    with pytest.raises(UnknownNameError, match="Did you mean 'Head'"):
        mine.get("a_rather_long_unknown_scope.Heat")


def test_the_message_lists_all_that_was_asked(
    root: Registry, mine: Registry, other: Registry
) -> None:
    """Near names are those of all registries on the way."""
    expected = (
        "Did you mean 'Head'.* Looked in registry 'model' of scope 'mine' and "
        "registry 'model' of scope 'engine' and registry 'model' of scope 'other'"
    )
    with (
        DefaultScope.use("other"),
        pytest.raises(UnknownNameError, match="Did you mean 'Head'"),
    ):
        root.get("Heat")
    with DefaultScope.use("other"), pytest.raises(UnknownNameError, match=expected):
        root.get("mine.Heat")


# ------------------------------------------------------------------ default scope


def test_the_default_scope_is_asked_first(
    root: Registry, mine: Registry, other: Registry
) -> None:
    """A root finds what its child of that scope has, and its own after it."""
    root.register_module("Head", module=Neck)
    root.register_module("Root", module=Neck)
    with DefaultScope.use("mine"):
        assert root.get("Head") is Head
        assert root.get("Root") is Neck
        assert root.get("engine.Head") is root.get("mmengine.Head") is Neck
        assert "Head" in root
    assert root.get("Head") is Neck


def test_another_child_asks_the_default_scope_too(
    mine: Registry, other: Registry
) -> None:
    """The scope of the run goes before the registry, which answers for the rest."""
    with DefaultScope.use("mine"):
        assert other.get("Head") is Head
        assert other.get("Neck") is Neck
        assert other.get("other.Head") is OtherHead


@pytest.mark.parametrize("scope", ["engine", "mmengine", None])
def test_a_parents_scope_does_not_push_a_child_aside(
    root: Registry, mine: Registry, scope: str | None
) -> None:
    """A run in our scope, as runs are by default, still finds a child's own names."""
    root.register_module("Head", module=Neck)
    with DefaultScope.use(scope):
        assert mine.get("Head") is Head


def test_a_default_scope_without_a_registry_is_told(root: Registry) -> None:
    """It does not matter until a name is missing."""
    root.register_module(module=Head)
    expected = "The default scope is 'nowhere', which no registry here has .*'engine'"
    with DefaultScope.use("nowhere"):
        assert root.get("Head") is Head
        with pytest.raises(UnknownNameError, match=expected):
            root.get("Neck")


def test_switching_gives_the_registry_that_is_asked_first(
    root: Registry, mine: Registry
) -> None:
    """And the registry itself for a scope that there is none of."""
    for scope, expected in (("mine", mine), ("mmengine", root), ("none", root)):
        with root.switch_scope_and_registry(scope) as registry:
            assert registry is expected
    with DefaultScope.use("mine"), root.switch_scope_and_registry(None) as registry:
        assert registry is mine


# -------------------------------------------------------------------------- build


class Outer:
    """Builds what it is given, as a model builds its parts."""

    def __init__(self, registry: Registry, part: dict[str, object]) -> None:
        self.part = registry.build(part)


def test_a_spec_can_switch_the_scope_for_itself_and_what_is_in_it(
    root: Registry, mine: Registry
) -> None:
    """``_scope_`` holds for nested builds, and not after."""
    mine.register_module(module=Outer)
    root.register_module("Head", module=Neck)
    part = {"type": "Head"}
    spec = {"type": "Outer", "_scope_": "mine", "registry": root, "part": part}
    built = root.build(spec)
    assert isinstance(built.part, Head)
    assert isinstance(root.build({"type": "Head"}), Neck)


def test_our_scope_may_be_switched_to_by_its_other_name(
    root: Registry, mine: Registry
) -> None:
    """``_scope_='mmengine'`` in a run of another scope."""
    root.register_module("Head", module=Neck)
    with DefaultScope.use("mine"):
        assert isinstance(root.build({"type": "Head", "_scope_": "mmengine"}), Neck)
