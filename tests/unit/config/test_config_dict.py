"""Tests of the mapping that a config is made of."""

from __future__ import annotations

import collections
import copy
import json
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import pytest

from engine.config import ConfigDict, LazyObject
from engine.errors import ConfigError, ConfigKeyError

REFERENCE = LazyObject("collections.OrderedDict", ("collections",))


def given(**values: Any) -> dict[str, Any]:
    """The arguments."""
    return values


NOWHERE = LazyObject("nowhere.at.all.Net", ("nowhere.at.all",))


def test_nested_mappings_have_attributes() -> None:
    """Mappings in mappings, lists and tuples are such dicts too."""
    cfg = ConfigDict(a={"b": [{"c": 1}, ({"d": 2},)]})
    assert cfg.a.b[0].c == 1
    assert cfg.a.b[1][0].d == 2
    assert isinstance(cfg.a, Mapping)


def test_assigned_mappings_have_attributes() -> None:
    """What is set later is taken over as what was there from the start."""
    cfg = ConfigDict()
    cfg.model = {"type": "Net"}
    cfg["hooks"] = [{"interval": 1}]
    cfg.setdefault("optim", {})["lr"] = 0.1
    assert (cfg.model.type, cfg.hooks[0].interval, cfg.optim.lr) == ("Net", 1, 0.1)


def test_plain_lists_stay_the_same_list() -> None:
    """A list without mappings is not copied: somebody may collect results in it."""
    results: list[int] = []
    assert ConfigDict(out=results).out is results


@pytest.mark.parametrize("method", ["items", "update", "type_", "copy"])
def test_methods_are_not_overwritten(method: str) -> None:
    """An attribute that is a method cannot be set; the key can."""
    cfg = ConfigDict()
    if not hasattr(ConfigDict, method):
        setattr(cfg, method, 1)
    else:
        with pytest.raises(ConfigKeyError, match=r"is a method; write cfg\['"):
            setattr(cfg, method, 1)
        cfg[method] = 1
    assert cfg[method] == 1


def test_missing_keys_name_the_nearest() -> None:
    """The error of a missing key has the keys that are there and the nearest one."""
    cfg = ConfigDict(max_epochs=1, by_epoch=True)
    with pytest.raises(ConfigError, match=r"no key 'max_epoch'.*Did you mean 'max_ep"):
        cfg.max_epoch  # noqa: B018 - the look-up is the test


def test_missing_keys_are_what_python_expects() -> None:
    """Attributes fail as attributes do, items as items do."""
    cfg = ConfigDict(a=1)
    assert not hasattr(cfg, "b")
    assert getattr(cfg, "b", 7) == 7
    with pytest.raises(KeyError):
        cfg["b"]
    with pytest.raises(KeyError):
        del cfg["b"]
    with pytest.raises(AttributeError):
        del cfg.b


def test_missing_key_errors_survive_pickling() -> None:
    """The error has the same message in another process."""
    error = ConfigKeyError("no key 'b'")
    assert str(pickle.loads(pickle.dumps(error))) == "no key 'b'"  # noqa: S301 - ours


@pytest.mark.parametrize(
    "look",
    [
        lambda cfg: cfg.x,
        lambda cfg: cfg["x"],
        lambda cfg: cfg.get("x"),
        lambda cfg: cfg.pop("x"),
        lambda cfg: cfg.popitem()[1],
        lambda cfg: cfg.setdefault("x"),
        lambda cfg: dict(cfg)["x"],
        lambda cfg: {**cfg}["x"],
        lambda cfg: given(**cfg)["x"],
        lambda cfg: next(iter(cfg.values())),
        lambda cfg: next(iter(cfg.items()))[1],
    ],
)
def test_looking_imports(look: Any) -> None:
    """Every way to look at a value gives the object, not the reference."""
    assert look(ConfigDict(x=REFERENCE)) is OrderedDict


@pytest.mark.parametrize(
    "look",
    [
        lambda items: items[0],
        lambda items: next(iter(items)),
        list,
        lambda items: [*items],
        lambda items: items + [],  # noqa: RUF005 - the sum is the test
        lambda items: [] + items,  # noqa: RUF005 - the sum is the test
        lambda items: items[:],
        lambda items: items.pop(),
        lambda items: next(reversed(items)),
        tuple,
    ],
)
@pytest.mark.parametrize("kind", [list, tuple])
def test_looking_into_lists_imports(look: Any, kind: Any) -> None:
    """References in a list or tuple are imported when it is looked into."""
    items = ConfigDict(x=kind([REFERENCE])).x
    if kind is tuple and look.__name__ != "<lambda>":
        assert look(items)[0] is OrderedDict
        return
    if kind is tuple:
        assert items == (OrderedDict,)
        assert type(items) is tuple
        return
    found = look(items)
    assert (found[0] if isinstance(found, list | tuple) else found) is OrderedDict


@pytest.mark.parametrize(
    "action",
    [
        copy.copy,
        copy.deepcopy,
        lambda cfg: cfg.copy(),
        lambda cfg: pickle.loads(pickle.dumps(cfg)),  # noqa: S301 - ours
        ConfigDict,
        lambda cfg: cfg | {},
        lambda cfg: {} | cfg,
    ],
)
def test_copies_do_not_import(action: Any) -> None:
    """A copy keeps references, and is equal."""
    cfg = ConfigDict(x=NOWHERE, y=[NOWHERE, {"z": (NOWHERE,)}])
    other = action(cfg)
    assert other == cfg
    assert type(other) is ConfigDict
    assert "nowhere" in repr(other)
    with pytest.raises(ConfigError, match=r"cannot import nowhere\.at\.all\.Net"):
        other.x  # noqa: B018 - the look-up is the test


def test_to_dict_is_plain() -> None:
    """``to_dict`` has Python's own containers, and references as text."""
    cfg = ConfigDict(x=NOWHERE, y=[{"z": (NOWHERE, {"a": 1})}])
    plain = cfg.to_dict()
    assert plain == {
        "x": "nowhere.at.all.Net",
        "y": [{"z": ("nowhere.at.all.Net", {"a": 1})}],
    }
    assert type(plain["y"][0]) is dict
    assert json.loads(json.dumps(plain))["x"] == "nowhere.at.all.Net"


def test_references_equal_their_objects() -> None:
    """A mapping with a reference equals one with the object itself."""
    assert ConfigDict(x=REFERENCE) == {"x": collections.OrderedDict}
    assert ConfigDict(x=REFERENCE) != {"x": dict}


def test_shallow_copies_share_what_is_inside() -> None:
    """``copy`` is as shallow as a dict's."""
    cfg = ConfigDict(a={"b": 1})
    assert cfg.copy().a is cfg.a


def test_deep_copies_share_nothing() -> None:
    """``copy.deepcopy`` copies mappings and lists inside."""
    cfg = ConfigDict(a={"b": [1]})
    other = copy.deepcopy(cfg)
    other.a.b.append(2)
    assert cfg.a.b == [1]


def test_merge_is_in_place_and_deep() -> None:
    """``merge`` changes the mapping itself, key by key; ``_delete_`` replaces."""
    cfg = ConfigDict(a={"x": 1, "y": 2}, b={"z": 3})
    cfg.merge({"a": {"x": 5}, "b": {"_delete_": True, "w": 4}})
    assert cfg == {"a": {"x": 5, "y": 2}, "b": {"w": 4}}


def test_pop_without_the_key_gives_the_default() -> None:
    """``pop`` has a default of None, as MMEngine's."""
    assert ConfigDict().pop("x") is None
    assert ConfigDict().pop("x", 3) == 3


def test_merge_may_drop_all_that_was_there() -> None:
    """As in ``model.merge(dict(_delete_=True, ...))`` of configs in plain Python."""
    model = ConfigDict(type="Net", width=8)
    model.merge({"_delete_": True, "type": "Other"})
    assert model == {"type": "Other"}
    model.merge({"_delete_": False, "width": 1})
    assert model == {"type": "Other", "width": 1}
