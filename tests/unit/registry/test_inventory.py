"""Counting what is registered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from engine.registry import (
    Registry,
    count_registered_modules,
    traverse_registry_tree,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def child() -> Registry:
    """A registry of one name, below a root of two."""
    root = Registry("model", scope="engine")
    root.register_module(["b", "a"], module=dict)
    child = Registry("model", parent=root, scope="mine")
    child.register_module("json", module=json.dumps)
    return child


def test_the_whole_tree_is_counted_from_any_registry(child: Registry) -> None:
    """The root comes first, and names are sorted by the module they come from."""
    assert traverse_registry_tree(child, verbose=False) == [
        {
            "name": "model",
            "scope": "engine",
            "num_modules": 2,
            "modules": {"builtins": ["a", "b"]},
        },
        {
            "name": "model",
            "scope": "mine",
            "num_modules": 1,
            "modules": {"json": ["json"]},
        },
    ]


def test_what_nobody_asked_for_yet_counts(parts: Callable[..., None]) -> None:
    """Locations are imported."""
    parts(counted_part="")
    registry = Registry("model", scope="engine", locations=["counted_part"])
    assert traverse_registry_tree(registry, verbose=False)[0]["num_modules"] == 0
    registry = Registry("model", scope="engine", locations=["no_such_module"])
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        traverse_registry_tree(registry, verbose=False)


@pytest.mark.parametrize("verbose", [True, False])
def test_verbose_logs_each_registry(child: Registry, verbose: bool) -> None:
    """One line for each, or none."""
    with capture_logs() as lines:
        traverse_registry_tree(child, verbose=verbose)
    logged = [(line["scope"], line["num_modules"]) for line in lines]
    assert logged == ([("engine", 2), ("mine", 1)] if verbose else [])


@pytest.mark.parametrize("place", ["made/here", "made/here/own.json"])
def test_the_engines_registries_are_counted_and_saved(
    tmp_path: Path, place: str
) -> None:
    """The file holds what is returned: in a folder under MMEngine's name for it."""
    counted = count_registered_modules(tmp_path / place, verbose=False)
    hooks = counted["registries"]["HOOKS"][0]["modules"]
    assert "LoggerHook" in hooks["engine.hooks.logger"]
    (path,) = (tmp_path / "made" / "here").iterdir()
    assert path.name in {"modules_statistic_results.json", "own.json"}
    assert json.loads(path.read_text(encoding="utf-8")) == counted
