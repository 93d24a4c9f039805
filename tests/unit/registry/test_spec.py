"""Whether a spec is one, and whether its arguments fit."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.registry.spec import check_arguments, check_spec


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("Ema", r"a spec is a mapping with 'type', found 'Ema' \(str\)"),
        (None, r"found None \(NoneType\)"),
        ({"interval": 5}, "needs 'type', found only 'interval'"),
        ({}, "needs 'type', found only no arguments"),
        ({"type": 3}, r"'type' must be a name, .* found 3 \(int\)"),
        ({"type": None}, r"found None \(NoneType\)"),
        ({"type": "Ema", 3: 4}, r"must be text, found 3 \(int\)"),
    ],
)
def test_what_is_no_spec_is_told(spec: Any, expected: str) -> None:
    """The message says what was found in place of a spec."""
    with pytest.raises(ConfigError, match=f"^hook: .*{expected}"):
        check_spec(spec, {}, kind="hook")


def test_a_missing_argument_is_named() -> None:
    """All that is missing is told at once, with what there is."""

    def resize(size: int, mode: str, *, scale: float = 1.0) -> None: ...

    expected = "^transform: resize needs 'size', 'mode', found 'scale'"
    with pytest.raises(ConfigError, match=expected):
        check_arguments(resize, {"scale": 2.0}, where="transform: resize")


def test_an_argument_that_has_no_name_cannot_be_given() -> None:
    """A positional-only argument is missing even if its name is used."""

    def resize(size: int, /) -> None: ...

    with pytest.raises(ConfigError, match="has no argument 'size'"):
        check_arguments(resize, {"size": 2}, where="x")
    with pytest.raises(ConfigError, match="needs 'size'"):
        check_arguments(resize, {}, where="x")


def test_a_keyword_of_the_same_name_is_not_that_argument() -> None:
    """Where ``**kwargs`` swallows the name, the positional one is still missing."""

    def resize(size: int, /, **kwargs: int) -> None: ...

    with pytest.raises(ConfigError, match="needs 'size'"):
        check_arguments(resize, {"size": 2}, where="x")


def test_variadic_arguments_take_anything() -> None:
    """``**kwargs`` stops the check of names, ``*args`` asks for nothing."""

    def anything(*args: int, **kwargs: int) -> None: ...

    check_arguments(anything, {"size": 2}, where="x")
    check_arguments(anything, {}, where="x")


def test_a_wrapper_is_asked_and_not_what_it_wraps() -> None:
    """A decorator that renames arguments is not refused the old names."""

    def resize(size: int) -> int:
        return size

    @functools.wraps(resize)
    def renaming(**kwargs: int) -> int:
        return resize(size=kwargs["edge"])

    check_arguments(renaming, {"edge": 2}, where="x")


def test_what_has_no_signature_is_not_checked() -> None:
    """A builtin that tells nothing about itself is called as it is."""
    check_arguments(type, {"anything": 1}, where="x")


def test_classes_of_torch_can_be_checked() -> None:
    """The signature of a module or an optimizer is its constructor's."""
    torch = pytest.importorskip("torch")
    check_arguments(torch.nn.Linear, {"in_features": 1, "out_features": 2}, where="x")
    with pytest.raises(ConfigError, match=r"no argument 'moment'. Did you mean 'mom"):
        check_arguments(torch.optim.SGD, {"params": [], "moment": 0.9}, where="SGD")
