"""Tests of overrides from a command line."""

from __future__ import annotations

import math
from argparse import ArgumentParser
from typing import Any

import pytest

from engine.config import DictAction, parse_overrides
from engine.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-2", -2),
        ("1e-3", 0.001),
        ("true", True),
        ("False", False),
        ("None", None),
        ("none", "none"),
        ("", ""),
        ("word", "word"),
        ("two words", "two words"),
        ("don't", "don't"),
        ("a=b", "a=b"),
        ("1,2", [1, 2]),
        ("1,", [1]),
        ("a,b", ["a", "b"]),
        ("[1,2]", [1, 2]),
        ("[ 1, a ]", [1, "a"]),
        ("[]", []),
        ("()", ()),
        ("(1,2)", (1, 2)),
        ("(1,)", (1,)),
        ("[(1,2),3]", [(1, 2), 3]),
        ("[[1],[2,(3,x)]]", [[1], [2, (3, "x")]]),
        ("(1,2),(3,4)", [(1, 2), (3, 4)]),
        ('"x"', "x"),
        ("'7'", "7"),
        ('"a,b"', "a,b"),
        ('["a,b","c]"]', ["a,b", "c]"]),
        ("{'a': [1, 2]}", {"a": [1, 2]}),
        ("/data/x_{}.png", "/data/x_{}.png"),
    ],
)
def test_values(text: str, value: Any) -> None:
    """Each form of a value is read with its type."""
    found = parse_overrides([f"key={text}"])["key"]
    assert found == value
    assert type(found) is type(value)


def test_numbers_that_are_none() -> None:
    """``nan`` and ``inf`` are floats."""
    found = parse_overrides(["a=nan", "b=-inf"])
    assert math.isnan(found["a"])
    assert found["b"] == -math.inf


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key", "'key' is no override: write path=value"),
        ("=1", "'=1' is no override"),
        ("k=[1,2", r"'k=\[1,2': the '\[' is not closed"),
        ("k=(1]", r"the '\(' is not closed"),
        ("k=[1]2]", r"the '\[' is not closed"),
        ("k='x", "'x is no Python value"),
        ("k={a}", r"\{a\} is no Python value"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    """Each mistake names the whole override."""
    with pytest.raises(ConfigError, match=message):
        parse_overrides([text])


def test_the_option_may_be_repeated() -> None:
    """Several options add up; a later value of a key wins."""
    parser = ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    given = ["--cfg-options", "a.b=1", "c=x", "--cfg-options", "c=y"]
    assert parser.parse_args(given).cfg_options == {"a.b": 1, "c": "y"}
    assert parser.parse_args([]).cfg_options is None


def test_a_mistake_is_a_mistake_of_the_option(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The parser tells it as it tells its own."""
    parser = ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    with pytest.raises(SystemExit):
        parser.parse_args(["--cfg-options", "x"])
    assert "argument --cfg-options: 'x' is no override" in capsys.readouterr().err
