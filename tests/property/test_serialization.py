"""State to plain data, through a file that torch reads safely, and back."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
import torch
from attrs import evolve, field, frozen
from attrs.validators import ge
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SerializationError
from engine.state import (
    UNSAVED,
    Limits,
    MessageHub,
    Phase,
    Progress,
    RunState,
    from_plain,
    to_plain,
)
from tests.strategies import finite_values, plain_data, run_states

AT_REST = (Phase.READY, Phase.FAILED)  # phases that loading leaves as they are


def through_a_file(plain: Any) -> Any:
    """What comes back from a file that is read without running anything in it."""
    file = io.BytesIO()
    torch.save(plain, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def paths(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the mappings of a plain tree are, the tree itself first."""
    found = [path] if isinstance(tree, dict) else []
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        if isinstance(value, dict | list):
            found += paths(value, (*path, key))
    return found


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    """What lies at a path."""
    for key in path:
        tree = tree[key]
    return tree


def spelled(path: tuple[Any, ...]) -> str:
    """How an error names a path in a RunState."""
    parts = [f"[{key}]" if isinstance(key, int) else f".{key}" for key in path]
    return "RunState" + "".join(parts)


@given(state=run_states())
def test_a_state_comes_back_equal_from_a_file(state: RunState) -> None:
    """State to plain data to a file to plain data to state is the identity."""
    loaded = from_plain(RunState, through_a_file(to_plain(state)))
    assert evolve(loaded, hub=state.hub) == state
    assert to_plain(loaded) == to_plain(state)


@given(state=run_states(), other=run_states())
def test_loading_replaces_all_that_is_saved(state: RunState, other: RunState) -> None:
    """A state that loads another's becomes that one at rest, and keeps its own hub."""
    hub = other.hub
    other.load_state_dict(through_a_file(state.state_dict()))
    assert other.hub is hub
    expected = state.state_dict()
    found = other.state_dict()
    if state.phase not in AT_REST:  # what ran when it was saved was interrupted
        for key in ("phase", "left"):
            del expected[key], found[key]
    assert found == expected


@given(state=run_states(), data=st.data())
def test_an_unknown_key_is_named_with_its_path(
    state: RunState, data: st.DataObject
) -> None:
    """A key that no field has is an error that says where it stands."""
    plain = to_plain(state)
    path = data.draw(st.sampled_from(paths(plain)), label="where")
    at(plain, path)["iteratoin"] = 1
    with pytest.raises(SerializationError) as caught:
        from_plain(RunState, plain)
    assert str(caught.value).startswith(f"{spelled(path)}: unknown key 'iteratoin'.")


@given(state=run_states(), data=st.data())
def test_a_missing_key_is_named_with_its_path(
    state: RunState, data: st.DataObject
) -> None:
    """A field without a key is an error that says where it is missing."""
    plain = to_plain(state)
    path = data.draw(st.sampled_from(paths(plain)), label="where")
    keys = sorted(set(at(plain, path)) - {"format"})
    key = data.draw(st.sampled_from(keys), label="key")
    del at(plain, path)[key]
    with pytest.raises(SerializationError) as caught:
        from_plain(RunState, plain)
    assert str(caught.value) == f"{spelled(path)}: the keys ['{key}'] are missing"


@given(state=run_states(), data=st.data())
def test_a_value_of_the_wrong_type_is_named_with_its_path(
    state: RunState, data: st.DataObject
) -> None:
    """A value that the field cannot hold is an error that says where and what."""
    plain = to_plain(state)
    path = data.draw(st.sampled_from(paths(plain)), label="where")
    key = data.draw(st.sampled_from(sorted(at(plain, path))), label="key")
    wrong = complex(1, 2)  # no field holds one
    at(plain, path)[key] = wrong
    with pytest.raises(SerializationError) as caught:
        from_plain(RunState, plain)
    assert str(caught.value).startswith(f"{spelled((*path, key))}: expected ")
    assert str(caught.value).endswith(f", found {wrong!r}")


@given(state=run_states(), data=st.data())
def test_a_refused_load_changes_nothing(state: RunState, data: st.DataObject) -> None:
    """After an error while loading, the state is what it was."""
    plain = copy.deepcopy(to_plain(state))
    path = data.draw(st.sampled_from(paths(plain)), label="where")
    del at(plain, path)["format"]
    fresh = RunState(seed=9)
    before = fresh.state_dict()
    with pytest.raises(SerializationError, match=r"\.format: expected"):
        fresh.load_state_dict(plain)
    assert fresh.state_dict() == before


@given(
    facts=st.dictionaries(st.text(max_size=5), plain_data(), max_size=3),
    values=st.lists(finite_values(), max_size=8),
)
def test_a_hub_comes_back_equal_from_a_file(
    facts: dict[str, Any], values: list[float]
) -> None:
    """Facts and histories of a message hub survive a file."""
    hub = MessageHub()
    hub.update_info_dict(facts)
    for value in values:
        hub.update_scalar("train/loss", value, count=2)
    loaded = MessageHub()
    loaded.load_state_dict(through_a_file(hub.state_dict()))
    assert dict(loaded.runtime_info) == facts
    if values:
        found = loaded.get_scalar("train/loss")
        assert found.data[0].tolist() == values
        assert found.mean() == hub.get_scalar("train/loss").mean()


# -- formats and migrations --------------------------------------------------------


def _cents_from_euros(old: dict[str, Any]) -> dict[str, Any]:
    """Format 1 had the price in euros, as a float."""
    return {**old, "price": round(old["price"] * 100)}


def _price_in_cents(old: dict[str, Any]) -> dict[str, Any]:
    """Format 2 called it ``price``, and knew no tags."""
    return {"name": old["name"], "cents": old["price"], "tags": []}


@frozen(kw_only=True)
class Item:
    """Something for sale, in its third format."""

    FORMAT: ClassVar[int] = 3
    MIGRATIONS: ClassVar[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {
        1: _cents_from_euros,
        2: _price_in_cents,
    }

    name: str
    cents: int = field(validator=ge(0))
    tags: list[str] = field(factory=list)
    shown: bool = field(default=False, metadata=UNSAVED)


@given(name=st.text(), cents=st.integers(0, 10**6))
def test_older_formats_are_migrated_step_by_step(name: str, cents: int) -> None:
    """What format 1 or 2 saved is read as the same thing in format 3."""
    expected = Item(name=name, cents=cents)
    first = {"format": 1, "name": name, "price": cents / 100}
    second = {"format": 2, "name": name, "price": cents}
    third = {"format": 3, "name": name, "cents": cents, "tags": []}
    for saved in (first, second, third):
        assert from_plain(Item, through_a_file(saved)) == expected
    assert to_plain(expected) == third


def test_migration_leaves_the_saved_mapping_alone() -> None:
    """Loading changes nothing in what it is given."""
    saved = {"format": 1, "name": "tea", "price": 2.5}
    from_plain(Item, saved)
    assert saved == {"format": 1, "name": "tea", "price": 2.5}


def test_a_newer_format_is_refused() -> None:
    """Data of a later release is not guessed at."""
    saved = {"format": 4, "name": "tea", "cents": 250, "tags": []}
    with pytest.raises(SerializationError, match=r"^Item: saved in format 4, .* up to"):
        from_plain(Item, saved)


def test_a_validator_of_the_class_has_a_say() -> None:
    """A value of the right type that the class refuses is an error of ours."""
    saved = {"format": 3, "name": "tea", "cents": -1, "tags": []}
    with pytest.raises(SerializationError, match=r"^Item: 'cents' must be >= 0"):
        from_plain(Item, saved)


@given(
    number=st.one_of(st.booleans(), st.floats(), st.text(max_size=3), st.none()),
    name=st.sampled_from(["epoch", "iteration", "samples"]),
)
def test_counters_take_whole_numbers_only(number: Any, name: str) -> None:
    """Not even True, which python takes for 1, or 1.0."""
    saved = {**to_plain(Progress()), name: number}
    with pytest.raises(SerializationError, match=rf"^Progress.{name}: expected int"):
        from_plain(Progress, saved)


def test_a_value_out_of_range_is_named_with_its_path() -> None:
    """A saved limit below 1 does not become a state."""
    saved = to_plain(RunState(limits=Limits(max_epochs=1)))
    saved["limits"]["max_epochs"] = 0
    with pytest.raises(SerializationError, match=r"^RunState\.limits: max_epochs=0: "):
        from_plain(RunState, saved)


@pytest.mark.parametrize("version", [0, -1])
def test_a_format_that_never_was_is_refused(version: int) -> None:
    """A format that no migration begins at is an error that lists those there are."""
    saved = {"format": version, "name": "tea", "price": 2.5}
    with pytest.raises(SerializationError, match=r"Formats \[1, 2, 3\] are read"):
        from_plain(Item, saved)


def test_a_run_state_of_an_older_format_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Keys that only an older format had are migrated before they are put in place."""

    def renamed(old: dict[str, Any]) -> dict[str, Any]:
        return {**{key: old[key] for key in old if key != "key"}, "seed": old["key"]}

    newer = RunState.FORMAT + 1
    monkeypatch.setattr(RunState, "FORMAT", newer)
    monkeypatch.setattr(RunState, "MIGRATIONS", {newer - 1: renamed})
    older = RunState().state_dict()
    del older["seed"]
    state = RunState()
    state.load_state_dict({**older, "format": newer - 1, "key": 7})
    assert state.seed == 7
    assert state.state_dict()["format"] == newer
