"""A registry looks up like a dict, whatever was registered in whatever way."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DuplicateNameError
from engine.registry import Registry

PARTS = [type(f"Part{i}", (), {}) for i in range(4)]
NAMES = st.sampled_from(["a", "b", "Part0", "Part1", "engine", "x y", "Äü"])

registrations = st.lists(
    st.tuples(
        st.sampled_from(PARTS),
        st.none() | NAMES | st.lists(NAMES, min_size=1, max_size=3),
        st.booleans(),
        st.booleans(),
    ),
    max_size=12,
)
"""What is registered, its name or names, whether by force, whether by decorator."""


@given(steps=registrations, probe=NAMES)
def test_look_up_agrees_with_a_dict(
    steps: list[tuple[type, Any, bool, bool]], probe: str
) -> None:
    """Names, objects and refusals are those of a plain dict."""
    registry = Registry("part", scope="engine")
    model: dict[str, type] = {}
    for part, name, force, decorated in steps:
        names = [part.__name__] if name is None else [name]
        names = list(name) if isinstance(name, list) else names
        refused = not force and any(model.get(n, part) is not part for n in names)
        try:
            if decorated:
                registry.register_module(name, force)(part)
            else:
                registry.register_module(name, force, part)
        except DuplicateNameError:
            assert refused
        else:
            assert not refused
            model.update(dict.fromkeys(names, part))
    assert dict(registry.module_dict) == model
    assert len(registry) == len(model)
    assert (probe in registry) == (probe in model)
    for name, part in model.items():
        for key in (name, f"engine.{name}", f"mmengine.{name}"):
            assert registry.get(key) is part
