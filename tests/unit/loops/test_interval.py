"""When a validation is due."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import ConfigError
from engine.loops import ValidationPlan


@pytest.mark.parametrize(
    ("settings", "total", "expected"),
    [
        ({}, 3, [1, 2, 3]),
        ({"interval": 2}, 5, [2, 4, 5]),
        ({"interval": 9}, 5, [5]),
        ({"begin": 3}, 5, [3, 4, 5]),
        ({"begin": 3, "interval": 2}, 7, [4, 6, 7]),
        ({"begin": 9}, 5, []),
        ({"interval": 4, "dynamic_intervals": [(6, 1)]}, 9, [4, 5, 6, 7, 8, 9]),
        ({"interval": 2, "dynamic_intervals": [(0, 3), (5, 5)]}, 11, [3, 5, 10, 11]),
        ({"interval": 4}, None, [4, 8]),
    ],
)
def test_due(settings: dict[str, Any], total: int | None, expected: list[int]) -> None:
    """At multiples of the interval from begin on, and after the last one."""
    plan = ValidationPlan(**settings)
    assert [n for n in range(1, (total or 11) + 1) if plan.due(n, total=total)] == (
        expected
    )


def test_interval_at_changes_at_the_milestone() -> None:
    """One before it, as in MMEngine, which compares it with the epoch that comes."""
    plan = ValidationPlan(interval=7, dynamic_intervals=[(3, 2), (5, 1)])
    assert [plan.interval_at(done) for done in range(7)] == [7, 7, 2, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"begin": 0}, "val_begin=0: give a whole number of at least 1"),
        ({"interval": 0}, "val_interval=0"),
        ({"interval": 1.5}, r"val_interval=1\.5"),
        ({"interval": True}, "val_interval=True"),
        ({"dynamic_intervals": [(-1, 1)]}, "milestone=-1"),
        ({"dynamic_intervals": [(1, 0)]}, "interval=0"),
        ({"dynamic_intervals": 3}, "dynamic_intervals=3: give pairs"),
        ({"dynamic_intervals": [3, 1]}, r"dynamic_intervals=\[3, 1\]: give pairs"),
        ({"dynamic_intervals": "12"}, "dynamic_intervals='12': give pairs"),
        ({"dynamic_intervals": [(5, 1), (3, 1)]}, r"must ascend, found \[5, 3\]"),
        ({"dynamic_intervals": [(3, 1), (3, 2)]}, "must ascend"),
    ],
)
def test_numbers_out_of_range(settings: dict[str, Any], said: str) -> None:
    """Each is named."""
    with pytest.raises(ConfigError, match=said):
        ValidationPlan(**settings)
