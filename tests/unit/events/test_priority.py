"""Names and numbers of priorities."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import PriorityError
from engine.events import Priority, describe_priority, get_priority


def test_the_priorities_are_mmengines() -> None:
    """Each name with its number."""
    assert {member.name: member.value for member in Priority} == {
        "HIGHEST": 0,
        "VERY_HIGH": 10,
        "HIGH": 30,
        "ABOVE_NORMAL": 40,
        "NORMAL": 50,
        "BELOW_NORMAL": 60,
        "LOW": 70,
        "VERY_LOW": 90,
        "LOWEST": 100,
    }


@pytest.mark.parametrize("priority", [Priority.LOW, "LOW", "low", "Low", 70])
def test_a_priority_has_several_forms(priority: Any) -> None:
    """A member, its name in any case, its number."""
    assert get_priority(priority) == 70


@pytest.mark.parametrize("number", [0, 1, 55, 100])
def test_any_number_from_0_to_100_is_one(number: int) -> None:
    """Also between the named ones."""
    assert get_priority(number) == number


@pytest.mark.parametrize(
    ("priority", "message"),
    [
        (101, "priority 101: a number must lie from 0 to 100"),
        (-1, "priority -1: a number must lie from 0 to 100"),
        ("LOWE", r"priority 'LOWE': the names are .* Did you mean 'LOW"),
        (True, "priority True: give a Priority, its name, or a number"),
        (50.0, r"priority 50\.0: give a Priority, its name, or a number"),
        (None, "priority None: give a Priority, its name, or a number"),
    ],
)
def test_anything_else_is_refused(priority: Any, message: str) -> None:
    """The error says what was found and what is allowed; a ValueError as well."""
    with pytest.raises(PriorityError, match=f"^{message}"):
        get_priority(priority)
    with pytest.raises(ValueError, match=message):
        get_priority(priority)


@pytest.mark.parametrize(("value", "name"), [(0, "HIGHEST"), (90, "VERY_LOW")])
def test_listings_show_the_name(value: int, name: str) -> None:
    """A number that has a name is shown by it, another as it is."""
    assert describe_priority(value) == name
    assert describe_priority(value + 1) == str(value + 1)
