"""A config that is written and read again is the same config."""

from __future__ import annotations

import collections
import datetime as dt
import math
import operator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import Config, LazyObject

KEYS = st.one_of(
    st.sampled_from(
        ["model", "type", "lr", "dict", "torch", "class", "items", "text", "a b", "0"]
    ),
    st.text(max_size=6),
).filter(
    # What a file means by these is not a value.
    lambda key: (
        key
        not in {"_base_", "_delete_", "_deprecation_", "custom_imports", "__config__"}
    )
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(
        [
            "{{ fileDirname }}/x",
            "{{$HOME}}",
            "{{$NOT_THERE:3}} {{ fileBasename }}",
            "{{_base_.model}}",
            'it\'s "so"\n',
            "1e-3",
            "null",
            "yes",
            "a\r\nb\tc\x85d\u2028e\x7f",
            "x" * 200,
        ]
    ),
)
NUMBERS = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats())
NAMES = st.sampled_from(
    [
        LazyObject("nowhere.at.all.Net", ("nowhere.at.all",)),
        LazyObject("torch.optim.SGD", ("torch.optim", "torch")),
        LazyObject("model.heads.Head", ("model",)),
    ]
)
PYTHON_LEAVES = st.one_of(
    st.none(),
    NUMBERS,
    TEXTS,
    st.binary(max_size=5),
    st.complex_numbers(),
    NAMES,
    st.sampled_from(
        [
            int,
            collections.OrderedDict,
            operator.add,
            Path("a") / "b",
            ...,
            dt.date(2020, 1, 2),
            dt.datetime(2020, 1, 2, 3, 4, tzinfo=dt.UTC),
        ]
    ),
    st.slices(9),
    st.sets(st.one_of(TEXTS, st.integers()), max_size=3),
    st.frozensets(st.tuples(TEXTS), max_size=3),
)
YAML_LEAVES = st.one_of(
    st.none(), NUMBERS, TEXTS, st.binary(max_size=5), st.dates(), st.sets(TEXTS)
)
JSON_LEAVES = st.one_of(st.none(), NUMBERS, TEXTS)
TOML_LEAVES = st.one_of(NUMBERS, TEXTS, st.dates(), st.times(), st.datetimes())


def configs(
    leaves: st.SearchStrategy[Any], *, tuples: bool
) -> st.SearchStrategy[Config]:
    """Configs with such leaves in lists, mappings and, if wanted, tuples."""

    def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        lists = st.lists(inner, max_size=4)
        several = [lists, st.dictionaries(KEYS, inner, max_size=4)]
        return st.one_of(*several, *([lists.map(tuple)] if tuples else []))

    values = st.recursive(leaves, grow, max_leaves=15)
    return st.dictionaries(KEYS, values, max_size=6).map(Config)


def same(one: Any, two: Any) -> bool:
    """Equal, of the same types, NaN equal to itself, zeros of the same sign."""
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, float):
        both_nan = math.isnan(one) and math.isnan(two)
        signs = math.copysign(1, one) == math.copysign(1, two)
        return both_nan or (one == two and signs)
    if isinstance(one, complex):
        return same(one.real, two.real) and same(one.imag, two.imag)
    return bool(one == two)


def check(cfg: Config, suffix: str, folder: Path) -> None:
    """Write and read, and compare values and written text."""
    path = folder / f"written{suffix}"
    cfg.dump(path)
    again = Config.fromfile(path)
    assert same(again.to_dict(), cfg.to_dict()), path.read_text()
    assert again.pretty_text == cfg.pretty_text or suffix != ".py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples."""
    return tmp_path_factory.mktemp("written")


@given(cfg=configs(PYTHON_LEAVES, tuples=True))
def test_python_text_reads_back(cfg: Config, folder: Path) -> None:
    """A config written as Python is the same when it is read, and written the same."""
    check(cfg, ".py", folder)


@given(cfg=configs(YAML_LEAVES, tuples=True))
def test_yaml_reads_back(cfg: Config, folder: Path) -> None:
    """A config of YAML's values is the same when it is written and read."""
    check(cfg, ".yaml", folder)


@given(cfg=configs(JSON_LEAVES, tuples=False))
def test_json_reads_back(cfg: Config, folder: Path) -> None:
    """A config of JSON's values is the same when it is written and read."""
    check(cfg, ".json", folder)


@given(cfg=configs(TOML_LEAVES, tuples=False))
def test_toml_reads_back(cfg: Config, folder: Path) -> None:
    """A config of TOML's values is the same when it is written and read."""
    check(cfg, ".toml", folder)
