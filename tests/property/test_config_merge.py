"""Laws of laying one mapping over another."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.config import Config, ConfigDict
from engine.config.merge import merge
from engine.errors import ConfigError

KEYS = st.sampled_from("abc")
LEAVES = st.one_of(
    st.none(), st.integers(0, 3), st.lists(st.integers(0, 3), max_size=2)
)


def mappings() -> st.SearchStrategy[ConfigDict]:
    """Nested mappings over few keys, so that they often meet."""
    values = st.recursive(
        LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
    )
    return st.dictionaries(KEYS, values, max_size=3).map(ConfigDict)


def merged(*several: Any) -> Any:
    """All merged from the left, or ``None`` if a mapping meets what is none."""
    whole = several[0]
    for one in several[1:]:
        if whole is None or one is None:
            return None
        try:
            whole = merge(whole, one)
        except ConfigError:
            return None
    return whole


@given(one=mappings(), two=mappings(), three=mappings())
def test_merging_is_associative(
    one: ConfigDict, two: ConfigDict, three: ConfigDict
) -> None:
    """Without ``_delete_`` it does not matter which two are merged first."""
    left = merged(one, two, three)
    right = merged(one, merged(two, three))
    assert left is None or right is None or left == right


@given(one=mappings())
def test_nothing_merged_in_changes_nothing(one: ConfigDict) -> None:
    """An empty mapping is the neutral one, and merging is idempotent."""
    assert (
        merge(one, ConfigDict()) == merge(ConfigDict(), one) == merge(one, one) == one
    )


@given(one=mappings(), two=mappings())
def test_merging_keeps_its_inputs(one: ConfigDict, two: ConfigDict) -> None:
    """Neither mapping is changed, whether it works or not."""
    before = copy.deepcopy((one, two))
    merged(one, two)
    assert (one, two) == before


@given(one=mappings(), two=mappings())
def test_values_of_the_second_win(one: ConfigDict, two: ConfigDict) -> None:
    """What is no mapping in the second is so in the result; the rest is the first's."""
    whole = merged(one, two)
    if whole is None:
        return
    assert whole.keys() == one.keys() | two.keys()
    for key, value in two.items():
        assert isinstance(value, dict) or whole[key] == value
    for key in one.keys() - two.keys():
        assert whole[key] == one[key]


@given(one=mappings(), two=mappings())
def test_delete_drops_what_was_there(one: ConfigDict, two: ConfigDict) -> None:
    """With ``_delete_`` in each mapping of the second it simply takes the place."""
    marked = ConfigDict({k: _marked(v) for k, v in two.items()})
    assert merge(one, marked) == one | two


def _marked(value: Any) -> Any:
    return {**value, "_delete_": True} if isinstance(value, dict) else value


@given(one=mappings(), two=mappings())
def test_a_base_in_a_file_is_a_merge(one: ConfigDict, two: ConfigDict) -> None:
    """Options by path, mapping for mapping, give what a merge gives."""
    expected = merged(one, two)
    cfg = Config(one)
    try:
        cfg.merge_from_dict(two)
    except ConfigError:
        assert expected is None
    else:
        assert cfg == expected
