"""Packages that are imported because a scope has their name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from engine.errors import UnknownNameError
from engine.registry import DefaultScope, Registry
from engine.registry.packages import import_package

if TYPE_CHECKING:
    from collections.abc import Callable

MAKE = """
from __main__ import ROOT
from engine.registry import Registry

MODELS = Registry("model", parent=ROOT, scope="lib_of_tests")

@MODELS.register_module()
class Head: ...
"""

UTILS = """
from lib_of_tests.late import MODELS

CALLS = []

def register_all_modules({argument}):
    CALLS.append({told})
"""


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry that modules written by a test can import."""
    registry = Registry("model", scope="engine")
    monkeypatch.setattr(sys.modules["__main__"], "ROOT", registry, raising=False)
    return registry


@pytest.mark.parametrize("where", ["init", "registry"])
def test_the_package_of_a_keys_scope_is_imported(
    root: Registry, parts: Callable[..., None], where: str
) -> None:
    """A child registry that nobody has imported yet is found by its scope."""
    parts(**{f"lib_of_tests__{where}": MAKE})
    assert "lib_of_tests.Head" not in root
    assert "lib_of_tests" not in sys.modules
    assert root.get("lib_of_tests.Head").__name__ == "Head"
    assert "lib_of_tests.Head" in root


def test_a_registered_name_wins_over_the_packages_own(
    root: Registry, parts: Callable[..., None]
) -> None:
    """The first look-up finds what all later ones find."""
    parts(lib_of_tests__init="Head = dict", lib_of_tests__registry=MAKE)
    assert root.get("lib_of_tests.Head") is root.get("lib_of_tests.Head") is not dict


@pytest.mark.parametrize("where", ["init", "registry"])
def test_the_package_of_the_default_scope_is_imported(
    root: Registry, parts: Callable[..., None], where: str
) -> None:
    """Its names go before the root's, as if it had been imported before."""
    parts(**{f"lib_of_tests__{where}": MAKE})
    root.register_module("Head", module=dict)
    with DefaultScope.use("lib_of_tests"):
        assert root.build({"type": "Head"}) != {}


@pytest.mark.parametrize(
    ("argument", "told", "call"),
    [
        ("", "()", ()),
        ("init_default_scope=True", "init_default_scope", False),
    ],
)
def test_register_all_modules_is_the_last_resort(
    root: Registry,
    parts: Callable[..., None],
    argument: str,
    told: str,
    call: object,
) -> None:
    """It is called once, and told to leave the default scope alone."""
    parts(
        lib_of_tests__late=MAKE,
        lib_of_tests__utils=UTILS.format(argument=argument, told=told),
    )
    assert root.get("lib_of_tests.Head").__name__ == "Head"
    assert root.get("lib_of_tests.Head").__name__ == "Head"
    (called,) = sys.modules["lib_of_tests.utils"].CALLS
    assert called == call


def test_a_package_without_a_registry_is_asked_once(
    root: Registry, parts: Callable[..., None]
) -> None:
    """A default scope whose package has none for this tree costs one import."""
    calls = "CALLS = []\ndef register_all_modules():\n    CALLS.append(1)"
    parts(lib_of_tests__utils=calls)
    root.register_module(module=dict)
    with DefaultScope.use("lib_of_tests"):
        assert root.get("dict") is root.get("dict") is dict
    assert sys.modules["lib_of_tests.utils"].CALLS == [1]


def test_a_dotted_path_does_not_import_utils(
    root: Registry, parts: Callable[..., None]
) -> None:
    """A path that leads somewhere needs no scope."""
    parts(
        lib_of_tests__init="class Head: ...",
        lib_of_tests__utils="1 / 0",
    )
    assert root.get("lib_of_tests.Head").__name__ == "Head"


@pytest.mark.parametrize("module", ["registry", "utils"])
def test_an_error_in_the_package_is_raised_with_a_note_each_time(
    root: Registry, parts: Callable[..., None], module: str
) -> None:
    """A broken package is not taken for one without names."""
    parts(**{f"lib_of_tests__{module}": "1 / 0"})
    for _ in range(2):
        with pytest.raises(ZeroDivisionError) as caught:
            root.get("lib_of_tests.Head")
        (note,) = caught.value.__notes__
        assert note == (
            f"in the import of 'lib_of_tests.{module}', which may register names of "
            "the scope 'lib_of_tests'"
        )


def test_a_package_that_lacks_a_dependency_is_not_missing(
    root: Registry, parts: Callable[..., None]
) -> None:
    """Its own ImportError is what the user must see."""
    parts(lib_of_tests__init="import not_installed_here")
    with (
        DefaultScope.use("lib_of_tests"),
        pytest.raises(ModuleNotFoundError, match="not_installed_here"),
    ):
        root.get("Head")


@pytest.mark.parametrize("scope", ["", "no_such_package_here", "my run", "../x", "1a"])
def test_not_every_scope_is_a_package(scope: str) -> None:
    """A scope may have any name; without a package nothing happens."""
    assert not import_package(scope)


def test_a_scope_without_a_package_is_an_unknown_name(root: Registry) -> None:
    """The fall-back is the usual error."""
    with DefaultScope.use("my run"), pytest.raises(UnknownNameError, match="my run"):
        root.get("Head")
