"""Tests of laying one mapping over another."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config import Config, ConfigDict
from engine.config.merge import merge, nested
from engine.errors import ConfigError


def test_lists_are_replaced() -> None:
    """A list takes the place of the base's."""
    assert merge({"a": [1, 2]}, {"a": [3]}) == {"a": [3]}


def test_delete_without_a_base_leaves_no_trace() -> None:
    """``_delete_`` is no value, also where there is nothing to delete, or in lists."""
    child = {"a": {"_delete_": True, "x": [{"_delete_": True, "y": 1}]}}
    assert merge({}, child) == {"a": {"x": [{"y": 1}]}}


def test_delete_that_is_false_merges() -> None:
    """``_delete_=False`` merges, and is no value either; nor is one at the top."""
    child = {"a": {"_delete_": False, "y": 2}, "_delete_": True}
    assert merge({"a": {"x": 1}}, child) == {"a": {"x": 1, "y": 2}}


def test_numbers_address_items_of_lists() -> None:
    """A mapping of numbers changes items, mappings among them key by key."""
    base = ConfigDict(hooks=[{"type": "A", "n": 1}, {"type": "B"}], sizes=[1, 2])
    child = ConfigDict(hooks={"0": {"n": 2}, -1: {"_delete_": True, "z": 1}})
    merged = merge(base, child)
    assert merged.hooks == [{"type": "A", "n": 2}, {"z": 1}]
    assert base.hooks[0].n == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"hooks.2.n": 1},
            r"there is no hooks\[2\]: the list hooks has 2 items: 0 to 1",
        ),
        ({"hooks.-3": 1}, r"there is no hooks\[-3\]"),
        ({"empty.0": 1}, r"there is no empty\[0\]: the list empty has 0 items\."),
        ({"hooks.x": 1}, r"hooks is a list of 2 items, and 'x' is none of its places"),
        (
            {"lr.x": 1},
            r"cannot merge a mapping with 'x' into lr, which is a float, 0\.1",
        ),
        ({"hooks.1.lr.x": 1}, r"into hooks\[1\]\.lr, which is a NoneType, None"),
        ({"a": 1, "a.b": 2}, r"a\.b goes through 'a', which is set to 1 too"),
    ],
)
def test_overrides_that_lead_nowhere(options: dict[str, Any], message: str) -> None:
    """Each is one message with the path, and the config stays as it was."""
    values = {"hooks": [{"n": 0}, {"lr": None}], "empty": [], "lr": 0.1}
    cfg = Config(values)
    with pytest.raises(ConfigError, match=message):
        cfg.merge_from_dict(options)
    assert cfg == values


def test_list_keys_can_be_refused() -> None:
    """With ``allow_list_keys=False`` a mapping never goes into a list."""
    with pytest.raises(ConfigError, match="which is a list"):
        Config({"a": [1]}).merge_from_dict({"a.0": 2}, allow_list_keys=False)


def test_overrides_make_mappings_on_the_way() -> None:
    """A path through keys that are not there makes them."""
    cfg = Config({})
    cfg.merge_from_dict({"a.b.c": 1, "a[b]": 2, "x": {"y": 3}})
    assert cfg == {"a": {"b": {"c": 1}}, "a[b]": 2, "x": {"y": 3}}


def test_options_of_one_mapping_go_together() -> None:
    """Options below one key make one mapping, whatever their order."""
    assert nested({"a.b": {"x": 1}, "a.b.y": 2}) == {"a": {"b": {"x": 1, "y": 2}}}
    assert nested({"a.b.y": 2, "a.b": {"x": 1}}) == {"a": {"b": {"x": 1, "y": 2}}}
