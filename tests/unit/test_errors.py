"""The tree of errors."""

from __future__ import annotations

import pickle
import re

import pytest

from engine import errors
from engine.errors import EngineError, did_you_mean

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, EngineError)
]


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_survives_a_loader_worker(kind: type[EngineError]) -> None:
    """Pickled and back it is the same class with the same message."""
    pickled = pickle.dumps(kind("configs/toy.yaml:14: no hook"))
    found = pickle.loads(pickled)  # noqa: S301 - what was pickled a line before
    assert type(found) is kind
    assert str(found) == "configs/toy.yaml:14: no hook"


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_shows_its_message_as_it_is(kind: type[EngineError]) -> None:
    """No quotes about it, as ``KeyError`` makes them."""
    assert str(kind("it's 'there'")) == "it's 'there'"


@pytest.mark.parametrize("kind", [one for one in CLASSES if one is not EngineError])
def test_an_error_is_one_that_a_caller_would_catch(kind: type[EngineError]) -> None:
    """A built-in one is among its bases; a group may leave that to its members."""
    builtin = [base for base in kind.__mro__ if base.__module__ == "builtins"]
    plain = {Exception, BaseException, object}
    assert set(builtin) - plain or kind.__subclasses__()


def test_the_drawing_is_the_tree() -> None:
    """Each class stands in the docstring, under its parent, with its built-in."""
    drawn: dict[str, tuple[str, str]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(
            r"^    ([│ ├└─]*)(\w+Error|RunInterrupted)(?: \((\w+)\))?", line
        )
        if found:
            depth = len(found[1]) // 4
            above = [*above[:depth], found[2]]
            drawn[found[2]] = (above[depth - 1] if depth else "", found[3] or "")
    tree = {}
    for kind in CLASSES:
        ours, *others = kind.__bases__
        builtin = others[0].__name__ if others else ""
        tree[kind.__name__] = (ours.__name__, builtin)
    tree["EngineError"] = ("", "")
    assert drawn == tree


def test_all_errors_are_public() -> None:
    """Each is listed, and the list is sorted."""
    assert {kind.__name__ for kind in CLASSES} <= set(errors.__all__)
    assert errors.__all__ == sorted(errors.__all__)


def test_only_what_is_near_is_meant() -> None:
    """A name out of the blue gives no hint."""
    known = ["CheckpointHook", "LoggerHook"]
    assert did_you_mean("LogerHook", known) == " Did you mean 'LoggerHook'?"
    assert did_you_mean("Dropout", known) == ""
    assert did_you_mean("x", []) == ""
