"""Tests of writing configs as Python."""

from __future__ import annotations

import functools
import operator
from collections import OrderedDict
from typing import Any

import pytest

from engine.config import Config, LazyObject
from engine.config.python_text import python_text
from engine.errors import ConfigError


def test_lines_are_broken_at_88() -> None:
    """What does not fit on a line has an item on each, as black would."""
    values = {
        "short": {"a": [1, (2,)], "b": {}},
        "long": {
            "name": "x" * 60,
            "items": [{"n": 1}, ("y" * 40, "z" * 40)],
            "t": (1,),
        },
    }
    assert python_text(values) == (
        "short = dict(a=[1, (2,)], b=dict())\n"
        "long = dict(\n"
        f'    name="{"x" * 60}",\n'
        "    items=[\n"
        "        dict(n=1),\n"
        "        (\n"
        f'            "{"y" * 40}",\n'
        f'            "{"z" * 40}",\n'
        "        ),\n"
        "    ],\n"
        "    t=(1,),\n"
        ")\n"
    )


def test_lines_use_the_whole_width() -> None:
    """A line of exactly 88 characters is not broken, one of 89 is."""
    fits = {"key": ["x" * 78]}
    assert [len(line) for line in python_text(fits).splitlines()] == [88]
    assert len(python_text({"key": ["x" * 79]}).splitlines()) == 3


def test_names_are_imported_on_top() -> None:
    """Classes, functions and references are dotted names with their modules."""
    values = {
        "a": {"type": OrderedDict},
        "b": [LazyObject("x.y.Z", ("x.y",)), LazyObject("q").r],
        "c": functools.partial(operator.add, 1),
    }
    assert python_text(values) == (
        "import _operator\nimport collections\nimport functools\nimport q\nimport x.y\n"
        "\n"
        "a = dict(type=collections.OrderedDict)\n"
        "b = [x.y.Z, q.r]\n"
        "c = functools.partial(_operator.add, 1)\n"
    )


def test_keys_that_are_no_variables_are_kept() -> None:
    """They stand in a variable of their own, and are read from it."""
    values: dict[Any, Any] = {"a-b": 1, "_x": 2, 3: 4, "dict": 5, "class": 6, "ok": 7}
    text = python_text(values)
    assert (
        'ok = 7\n__config__ = {"a-b": 1, "_x": 2, 3: 4, "dict": 5, "class": 6}' in text
    )
    assert Config.fromstring(text, ".py") == values


def test_partials_can_be_read_back() -> None:
    """A partial of a reference calls the function when it is called."""
    text = python_text({"f": functools.partial(LazyObject("operator.mul"), 3)})
    assert Config.fromstring(text, ".py").f(4) == 12


def test_a_value_that_holds_itself_is_refused() -> None:
    """Its text would not end."""
    items: list[Any] = []
    items.append(items)
    with pytest.raises(ConfigError, match=r"x\[0\]: a value that holds itself"):
        python_text({"x": items})


def test_numpy_numbers_are_numbers() -> None:
    """NumPy's float is written as a number, its arrays are refused."""
    numpy = pytest.importorskip("numpy")
    assert python_text({"x": numpy.float64(0.5)}) == "x = 0.5\n"
    with pytest.raises(
        ConfigError, match=r"x: array\(\[1\]\) \(ndarray\) cannot be wri"
    ):
        python_text({"x": numpy.array([1])})
