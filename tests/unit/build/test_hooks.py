"""The default hooks and a user's changes to them."""

from __future__ import annotations

from typing import Any

import pytest

from engine.build import DEFAULT_HOOKS, build_hook, default_hooks
from engine.errors import ConfigError
from engine.hooks import CheckpointHook, Hook, IterTimerHook


def test_without_changes_all_are_there() -> None:
    """In order."""
    assert dict(default_hooks(None)) == DEFAULT_HOOKS
    assert [name for name, _ in default_hooks({})] == list(DEFAULT_HOOKS)


def test_none_removes_one() -> None:
    """A name of no default may be None too."""
    names = [name for name, _ in default_hooks({"timer": None, "mine": None})]
    assert names == [name for name in DEFAULT_HOOKS if name != "timer"]


def test_a_mapping_changes_arguments_or_replaces() -> None:
    """Without type it changes the default, with one it takes its place."""
    changed = dict(
        default_hooks({"checkpoint": {"interval": 5}, "timer": {"type": "MyTimer"}})
    )
    assert changed["checkpoint"] == {"type": "CheckpointHook", "interval": 5}
    assert changed["timer"] == {"type": "MyTimer"}
    assert DEFAULT_HOOKS["checkpoint"]["interval"] == 1


def test_further_names_come_after() -> None:
    """A hook or a spec."""
    hook = Hook()
    assert list(default_hooks({"mine": hook}))[-1] == ("mine", hook)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([1], "expected a mapping of names.*found a list"),
        ({"chekpoint": {"interval": 5}}, "needs a 'type'.*Did you mean 'checkpoint'"),
    ],
)
def test_bad_changes(changes: Any, said: str) -> None:
    """Each is named."""
    with pytest.raises(ConfigError, match=said):
        list(default_hooks(changes))


def test_a_spec_becomes_a_hook_and_its_priority() -> None:
    """The priority stands beside the arguments; the spec stays as it is."""
    spec = {"type": "CheckpointHook", "interval": 5, "priority": "LOW"}
    hook, priority = build_hook(spec, "here")
    assert isinstance(hook, CheckpointHook)
    assert (hook.interval, priority) == (5, "LOW")
    assert spec["priority"] == "LOW"
    timer = IterTimerHook()
    assert build_hook(timer, "here") == (timer, None)


def test_a_list_is_no_hook() -> None:
    """It says where."""
    with pytest.raises(ConfigError, match=r"custom_hooks\[0\]: expected one hook"):
        build_hook([Hook()], "custom_hooks[0]")
