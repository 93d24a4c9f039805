"""Tests of finding where a key is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.config import Config, locate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str, str], Path]

FILES = {
    "a.py": "x = 1\nmodel = dict(\n    type='Net',\n    hooks=[\n        {'n': 1},\n"
    "        dict(n=2),\n    ],\n)\n",
    "a.yaml": "x: 1\nmodel:\n  type: Net\n  hooks:\n  - n: 1\n  - n: 2\n",
    "a.json": '{"x": 1,\n"model": {\n\t"type": "Net",\n"hooks": [\n{"n": 1},\n'
    '{"n": 2}]}}',
    "a.toml": "x = 1\n[model]\ntype = 'Net'\n\n[[model.hooks]]\nn = 1\n"
    "[[model.hooks]]\nn = 2\n",
}


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        ("a.py", (1, 2, 3, 4, 6)),
        ("a.yaml", (1, 2, 3, 4, 6)),
        ("a.json", (1, 2, 3, 4, 6)),
        ("a.toml", (1, 2, 3, 5, 8)),
    ],
)
def test_every_format_has_lines(
    file: str, lines: tuple[int, ...], write: Write
) -> None:
    """Keys at the top, in mappings and in lists are found in each format."""
    cfg = Config.fromfile(write(file, FILES[file]))
    paths: list[tuple[str | int, ...]] = [
        ("x",),
        ("model",),
        ("model", "type"),
        ("model", "hooks"),
        ("model", "hooks", 1, "n"),
    ]
    assert [cfg.locate(*path) for path in paths] == [f"{file}:{n}" for n in lines]


def test_bases_are_searched_after_the_file(write: Write) -> None:
    """The place of more of the path wins; of equal ones the file's own."""
    write("b.py", "model = dict(type='Net',\n  head=dict(n=1))\nlr = 1")
    path = write("a.yaml", "_base_: b.py\nmodel:\n  head: {m: 2}")
    cfg = Config.fromfile(path)
    assert cfg.locate("model") == "a.yaml:2"
    assert cfg.locate("model", "head", "n") == "b.py:2"
    assert cfg.locate("lr") == "b.py:3"


def test_read_bases_are_searched(write: Write) -> None:
    """Imported bases count, and so do changes of their names."""
    write("b.py", "model = dict(\n  n=1)")
    text = (
        "with read_base():\n    from .b import *\nmodel.update(\n  m=2)\n"
        "model.head = dict(k=1)\nmodel['tail'] = 3\n"
    )
    path = write("a.py", text)
    assert locate(path, ("model", "n")) == "b.py:2"
    assert locate(path, ("model", "m")) == "a.py:4"
    assert locate(path, ("model", "head", "k")) == "a.py:5"
    assert locate(path, ("model", "tail")) == "a.py:6"


def test_variables_of_the_file_are_followed(write: Write) -> None:
    """What a variable holds is written where the variable is."""
    path = write("a.py", "part = dict(\n  n=1)\nmodel = dict(a=part,\n  b=[part])")
    assert locate(path, ("model", "a", "n")) == "a.py:2"
    assert locate(path, ("model", "b", 0, "n")) == "a.py:2"
    assert locate(path, ("model", "a")) == "a.py:3"


def test_the_longest_known_part_is_told(write: Write) -> None:
    """A key that is not written is placed where its mapping is; or nowhere."""
    path = write("a.py", "x = 1\nmodel = dict(n=f())\ndef f(): ...")
    assert locate(path, ("model", "lost", "deep")) == "a.py:2"
    assert locate(path, ("lost",)) is None
    assert locate("no.py", ("x",)) is None
    assert Config({"x": 1}).locate("x") is None
