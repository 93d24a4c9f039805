"""Building changes no spec, whatever the constructors do to their arguments."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.registry import Registry
from engine.registry.build import build_model_from_cfg


class Part:
    """Builds the specs among its arguments, then takes all of its specs apart."""

    def __init__(self, **arguments: Any) -> None:
        for value in arguments.values():
            for each in value if isinstance(value, list | tuple) else [value]:
                if isinstance(each, dict) and "type" in each:
                    PARTS.build(each, default_args={"d": 1})
                    take_apart(each)


PARTS = Registry("part", build_model_from_cfg, scope="engine")
PARTS.register_module(module=Part)
PARTS.register_module("PartOfMine", module=Part)


def take_apart(spec: dict[str, Any]) -> None:
    """Empty a spec and those inside it."""
    for value in spec.values():
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, dict) and "type" in each:
                take_apart(each)
    spec.clear()


kinds = st.sampled_from(["Part", "engine.Part", "mmengine.PartOfMine", Part])
plain = st.none() | st.integers() | st.text(max_size=3)


def specs_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A spec with what ``inner`` draws for its arguments."""
    several = st.lists(inner, max_size=3)
    arguments = inner | several | several.map(tuple)
    optional = dict.fromkeys("abc", arguments) | {"_scope_": st.just("mmengine")}
    return st.fixed_dictionaries({"type": kinds}, optional=optional)


specs = specs_of(st.recursive(plain, specs_of, max_leaves=12))
"""Specs with values, specs, and lists and tuples of both, at any depth."""


@given(spec=specs)
def test_build_never_changes_its_spec(spec: dict[str, Any]) -> None:
    """The spec is the same after it was built as before; so are the defaults."""
    defaults = {"d": [{"type": "Part", "e": {"type": Part}}]}
    before = deepcopy((spec, defaults))
    assert isinstance(PARTS.build(spec, default_args=defaults), Part)
    assert (spec, defaults) == before
