"""Look-up in a tree of registries agrees with a few lines over plain dicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from engine.registry import DefaultScope, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

SCOPES = ["engine", "s1", "s2", "s3", "s4"]
NAMES = ["a", "b", "c"]
WORDS = [*NAMES, *SCOPES, "mmengine", "s9"]


@frozen
class Forest:
    """A tree of registries as plain data.

    Args:
        parents: The number of each registry's parent; the first has none. Registry
            ``i`` has the scope ``SCOPES[i]``.
        held: Which name of which registry is which object.
    """

    parents: tuple[int, ...]
    held: dict[tuple[int, str], Any]

    def up(self, here: int) -> Iterator[int]:
        """``here`` and its parents."""
        yield here
        while here:
            here = self.parents[here]
            yield here

    def look_up(self, here: int, key: str, default: str | None) -> Any:
        """The object that ``key`` stands for, or None."""
        scopes = {scope: i for i, scope in enumerate(SCOPES[: len(self.parents)])}
        scopes["mmengine"] = 0
        asked = list(self.up(here))
        if default in scopes:
            asked = [i for i in self.up(scopes[default]) if i not in asked] + asked
        # Each scope that a key begins with leads to its registry and those above.
        while key.partition(".")[0] in scopes and "." in key:
            scope, _, key = key.partition(".")
            asked = list(self.up(scopes[scope]))
        return next((self.held[i, key] for i in asked if (i, key) in self.held), None)


@st.composite
def forests(draw: st.DrawFn) -> Forest:
    """A tree of up to five registries that hold up to three names each."""
    size = draw(st.integers(1, len(SCOPES)))
    parents = tuple(draw(st.integers(0, max(0, i - 1))) for i in range(size))
    places = st.tuples(st.integers(0, size - 1), st.sampled_from(NAMES))
    held = draw(st.sets(places))
    return Forest(parents, {place: type("Part", (), {}) for place in held})


keys = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(".".join)


@given(
    forest=forests(),
    asked=st.integers(0, len(SCOPES) - 1),
    key=keys,
    default=st.none() | st.sampled_from(["mmengine", *SCOPES, "s9"]),
    switched=st.none() | st.sampled_from(["mmengine", *SCOPES]),
)
def test_look_up_agrees_with_a_model(
    forest: Forest, asked: int, key: str, default: str | None, switched: str | None
) -> None:
    """In any tree, from any registry, in any default scope, and by ``_scope_``."""
    registries: list[Registry] = []
    for number, parent in enumerate(forest.parents):
        above = registries[parent] if number else None
        registries.append(Registry("part", parent=above, scope=SCOPES[number]))
    for (number, name), part in forest.held.items():
        registries[number].register_module(name, module=part)
    here = asked % len(registries)
    with DefaultScope.use(default):
        expected = forest.look_up(here, key, default)
        assert registries[here].find(key) is expected
        assert (key in registries[here]) == (expected is not None)
        if expected is not None:
            assert registries[here].get(key) is expected
        expected = forest.look_up(here, key, switched or default)
        if expected is not None:
            spec = {"type": key, "_scope_": switched}
            assert type(registries[here].build(spec)) is expected
