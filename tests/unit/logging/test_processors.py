"""Events as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections import UserDict
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch

from engine.logging.processors import console_text, json_text, plain, stamp


class Angry:
    """An object that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


class AngryDict(UserDict[str, int]):
    """A mapping that cannot be read."""

    def items(self) -> Any:
        raise RuntimeError("no")


def stamped(level: str = "info", **keys: Any) -> dict[str, Any]:
    """A stamped event at a fixed time."""
    time = "2026-11-23T21:07:02.512+01:00"
    return {"timestamp": time, "level": level, "event": "said", **keys}


def test_a_stamp_is_local_time_with_its_offset() -> None:
    """Another machine can tell the moment from it."""
    time = datetime.fromisoformat(stamp(None, "info", {"event": "x"})["timestamp"])
    assert time.tzinfo is not None
    assert time.utcoffset() == datetime.now().astimezone().utcoffset()


def test_keys_of_the_event_are_not_lost_to_the_stamp() -> None:
    """A user's ``level`` or ``timestamp`` gets an underscore."""
    keys = stamp(None, "info", {"event": "x", "level": 3, "timestamp": 4})
    assert (keys["level"], keys["level_"], keys["timestamp_"]) == ("info", 3, 4)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234567, "1234567"),
        (0.1 + 0.2, "0.3"),
        (float("nan"), "nan"),
        (None, "None"),
        (True, "True"),
        ("word", "word"),
        ("two words", "'two words'"),
        ("", "''"),
        ("a\nb", r"'a\nb'"),
        (torch.tensor(0.25), "0.25"),
        (np.float32(0.5), "0.5"),
        (PurePosixPath("/work/a"), "/work/a"),
        ([1, 2.5], "[1, 2.5]"),
        (Angry(), "<unprintable Angry>"),
    ],
)
def test_values_on_the_console(value: object, shown: str) -> None:
    """Numbers are short, and text with blanks is quoted."""
    text = console_text(stamped(key=value), hidden={})
    assert text == f"2026-11-23 21:07:02 INFO  said key={shown}"


def test_bound_keys_show_only_where_a_line_changes_them() -> None:
    """A value given for one line is news, even under a name that is bound."""
    hidden = {"run": "toy", "rank": 0}
    text = console_text(stamped(run="toy", rank=3), hidden=hidden)
    assert text.endswith("said rank=3")


def test_the_traceback_follows_a_line() -> None:
    """Stack and exception come on lines of their own."""
    record = stamped("error", line="text", exception="Traceback", stack="Stack")
    text = console_text(record, hidden={}, prefix="[rank 2] ")
    assert text == "2026-11-23 21:07:02 ERROR [rank 2] text\nStack\nTraceback"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (torch.tensor(0.25), 0.25),
        (torch.tensor([3]), 3),
        (torch.tensor(float("inf")), "inf"),
        (torch.zeros(2), "tensor([0., 0.])"),
        (torch.empty(1, device="meta"), "tensor(..., device='meta', size=(1,))"),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), "nan"),
        (np.int64(7), 7),
        (np.bool_(1), True),
        (np.array([2.0]), 2.0),
        (float("-inf"), "-inf"),
        ([1.0, {"a": float("nan")}], [1.0, {"a": "nan"}]),
        ({"a": (1, None, True)}, {"a": [1, None, True]}),
        ({(1, 2): 3}, {"(1, 2)": 3}),
        ({1, 2}, "{1, 2}"),
        (PurePosixPath("/work/a"), "/work/a"),
        (1 + 2j, "(1+2j)"),
        (b"bytes", "b'bytes'"),
        (Angry(), "<unprintable Angry>"),
        ([Angry(), float("nan")], ["<unprintable Angry>", "nan"]),
        ([10**5000], ["<unprintable int>"]),
        ("\u2028 \udcff ü\n", "\u2028 \udcff ü\n"),
    ],
)
def test_values_in_the_file(value: object, written: object) -> None:
    """Every value has a form in strict JSON, on one line of ASCII."""
    text = json_text({"event": "said", "key": value})
    assert json.loads(text) == {"event": "said", "key": written}
    assert text.isascii()
    assert len(text.splitlines()) == 1


def test_a_mapping_that_breaks_when_read_spoils_no_other_key() -> None:
    """Its place is held by its repr."""
    text = json_text({"event": "said", "odd": AngryDict(a=1), "nan": float("nan")})
    assert json.loads(text) == {"event": "said", "odd": "{'a': 1}", "nan": "nan"}


def test_containers_that_hold_themselves_end() -> None:
    """A cycle is written as its text where it closes."""
    cycle: dict[str, Any] = {"nan": float("nan")}
    cycle["again"] = [cycle, cycle]
    text = json_text({"event": "said", "cycle": cycle})
    assert json.loads(text)["cycle"]["again"][0].startswith("{'nan': nan, 'again'")


def test_containers_that_go_too_deep_end() -> None:
    """From fifty levels down a container is written as its text, if it has one."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    found = json.loads(json_text({"event": "said", "deep": deep}))["deep"]
    levels = 1  # the event itself
    while isinstance(found, list):
        found = found[0]
        levels += 1
    assert (levels, found) == (50, "<unprintable list>")


def test_plain_leaves_what_it_was_given_alone() -> None:
    """The caller's containers are copied, never changed."""
    value: dict[str, Any] = {"a": [float("inf")]}
    plain(value)
    assert value == {"a": [float("inf")]}
