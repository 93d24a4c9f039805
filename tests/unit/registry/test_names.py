"""Names of what is registered."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from engine.errors import RegistryError
from engine.registry.names import address, label_of, names_for, split_key


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("Ema", ("Ema", "")),
        ("mine.Ema", ("mine", "Ema")),
        ("mmengine.hooks.Ema", ("engine", "hooks.Ema")),
        ("mmengine", ("mmengine", "")),
        ("mine.", ("mine.", "")),
    ],
)
def test_keys_are_split_at_the_first_dot(key: str, parts: tuple[str, str]) -> None:
    """Only a scope is renamed, never a bare name."""
    assert split_key(key) == parts


@pytest.mark.parametrize("name", ["", [], ["a", ""], [3], b"ab"])
def test_names_that_are_none(name: Any) -> None:
    """Empty names and what is no text are refused with what was found."""
    with pytest.raises(RegistryError, match="hook: a name must be text"):
        names_for(dict, name, kind="hook")


def test_a_callable_without_a_name_needs_one() -> None:
    """A partial has no ``__name__``."""
    with pytest.raises(RegistryError, match=r"has no __name__. Give register_module a"):
        names_for(functools.partial(int), None, kind="hook")


def test_labels_fall_back_to_the_repr() -> None:
    """Every callable can be called something in a message."""
    partial = functools.partial(int)
    assert label_of(partial) == repr(partial)
    assert address(int) == "builtins.int"
