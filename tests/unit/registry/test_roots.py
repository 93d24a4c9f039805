"""The engine's own registries."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

import engine.registry
from engine.registry import HOOKS, Registry

ROOTS = {
    name: value
    for name, value in vars(engine.registry).items()
    if isinstance(value, Registry)
}


@pytest.mark.parametrize("name", sorted(ROOTS))
def test_a_root_is_of_our_scope_and_its_locations_exist(name: str) -> None:
    """A look-up that fails must not end in an import error of ours."""
    root = ROOTS[name]
    assert root.scope == "engine"
    assert root.parent is None
    assert [place for place in root.locations if find_spec(place) is None] == []


def test_roots_have_different_names() -> None:
    """Messages can tell them apart."""
    assert len({root.name for root in ROOTS.values()}) == len(ROOTS) == 15


def test_importing_the_registries_imports_no_part_of_a_run() -> None:
    """Only the standard library, errors and typing are loaded with them."""
    code = (
        "import sys, engine.registry; "
        "print(*[m for m in sys.modules if m.split('.')[0] in "
        "('engine', 'torch', 'ignite', 'attr', 'attrs', 'structlog', 'numpy')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    other = [
        each
        for each in found
        if not each.startswith("engine.registry")
        and each not in {"engine", "engine.errors", "engine.typing", "engine.version"}
    ]
    assert other == []


def test_hooks_are_called_hooks_in_messages() -> None:
    """The name reads well behind "no ... is called"."""
    assert HOOKS.name == "hook"
