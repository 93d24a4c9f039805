"""Tests of references."""

from __future__ import annotations

import collections
import operator
import pickle
import re
import sys
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest

from engine.config import LazyObject
from engine.config.lazy import dotted_name, resolve
from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Colour(Enum):
    """A choice."""

    RED = 1


def test_attributes_are_longer_references() -> None:
    """Nothing is imported by asking for an attribute."""
    assert str(LazyObject("nowhere").at.all) == "nowhere.at.all"


def test_calls_import() -> None:
    """A call is a call of the object."""
    assert LazyObject("collections").Counter("aab")["a"] == 2


def test_values_can_be_reckoned_with() -> None:
    """Arithmetic, comparison, length, items, truth and text are those of the value."""
    digits = LazyObject("string.digits")
    pi = LazyObject("math.pi")
    assert digits + "x" == "0123456789x"
    assert "x" + digits == "x0123456789"
    assert len(digits) == 10
    assert digits[1] == "1"
    assert "3" in digits
    assert pi > 3
    assert 2 * pi == pi * 2
    assert f"{pi:.2f}" == "3.14"
    assert bool(LazyObject("string.digits"))


def test_submodules_are_imported_on_the_way(
    write: Callable[[str, str], Path],
) -> None:
    """A path may go through modules that nobody has imported."""
    write("lazy_pack/__init__.py", "")
    write("lazy_pack/deep/__init__.py", "")
    write("lazy_pack/deep/mod.py", "class Net: pass")
    assert resolve(LazyObject("lazy_pack").deep.mod.Net).__name__ == "Net"


def test_imported_modules_win_over_names_of_the_same_name(
    write: Callable[[str, str], Path],
) -> None:
    """``from pack.thing import x`` means the module, not a function of pack."""
    write("shadow_pack/__init__.py", "def thing(): ...")
    write("shadow_pack/thing.py", "x = 3")
    reference = LazyObject("shadow_pack.thing.x", ("shadow_pack.thing",))
    assert resolve(reference) == 3


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.Net", "ModuleNotFoundError: No module named 'nowhere'"),
        ("math.nothing", "AttributeError: module 'math' has no 'nothing'"),
        (
            "collections.OrderedDct",
            "AttributeError: module 'collections' has no 'OrderedDct'. Did you mean",
        ),
    ],
)
def test_failed_imports_say_where(path: str, message: str) -> None:
    """The error has the path, what failed, and the line of the config's import."""
    reference = LazyObject(path, where="a.py:3")
    text = "^" + re.escape(f"a.py:3: cannot import {path}: {message}")
    with pytest.raises(ConfigError, match=text):
        reference()


def test_references_cannot_be_set() -> None:
    """A config does not patch what it imports."""
    with pytest.raises(ConfigError, match=r"torch\.x: what a config imports cannot be"):
        LazyObject("torch").x = 1


def test_equality_is_that_of_paths() -> None:
    """References with one path are equal, and equal to the object if it is loaded."""
    assert LazyObject("a.b") == LazyObject("a").b
    assert LazyObject("a.b") != LazyObject("a.c")
    assert LazyObject("collections.Counter") == collections.Counter
    assert LazyObject("collections.Counter") != "collections.Counter"
    assert len({LazyObject("a.b"), LazyObject("a").b}) == 1


def test_references_survive_pickling() -> None:
    """A reference read back is equal, and nothing was imported."""
    reference = LazyObject("nowhere.at.all", ("nowhere",), "a.py:1")
    assert pickle.loads(pickle.dumps(reference)) == reference  # noqa: S301 - ours
    assert "nowhere" not in sys.modules


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (collections.OrderedDict, "collections.OrderedDict"),
        (operator, "operator"),
        (operator.add, "_operator.add"),
        (Colour.RED, f"{__name__}.Colour.RED"),
        (int, "builtins.int"),
        (dict.fromkeys, None),
        (lambda: 0, None),
        (3, None),
        (object(), None),
        (LazyObject("a.b"), "a.b"),
    ],
)
def test_dotted_names(value: Any, name: str | None) -> None:
    """What can be imported has a name that leads to it; other things have none."""
    if name is not None and name.startswith(__name__) and __name__ not in sys.modules:
        pytest.skip("pytest did not register this module")
    assert dotted_name(value) == name


def test_torch_types_have_dotted_names() -> None:
    """``torch.float16`` is no class; its text is its path."""
    torch = pytest.importorskip("torch")
    assert dotted_name(torch.float16) == "torch.float16"
