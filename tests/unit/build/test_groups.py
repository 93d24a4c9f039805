"""Which arguments of a Runner belong together."""

from __future__ import annotations

from itertools import combinations

import pytest

from engine.build import GROUPS, check_groups, require_group
from engine.errors import ConfigError


@pytest.mark.parametrize("mode", GROUPS)
def test_a_group_is_given_in_full_or_not_at_all(mode: str) -> None:
    """Every part of it alone, and every pair, names what is missing."""
    group = GROUPS[mode]
    check_groups(dict.fromkeys(group))
    check_groups(dict.fromkeys(group, 1))
    for count in (1, 2):
        for given in combinations(group, count):
            missing = ", ".join(name for name in group if name not in given)
            with pytest.raises(ConfigError, match=f"given without {missing}: give"):
                check_groups(dict.fromkeys(given, 1))


def test_an_empty_mapping_is_given() -> None:
    """val_cfg={} says as much as can be said of a validation."""
    check_groups({"val_dataloader": 1, "val_cfg": {}, "val_evaluator": 1})


def test_schedules_need_an_optimizer() -> None:
    """They act on it."""
    with pytest.raises(
        ConfigError, match="param_scheduler given without optim_wrapper"
    ):
        check_groups({"param_scheduler": []})


@pytest.mark.parametrize("mode", GROUPS)
def test_a_mode_requires_its_group(mode: str) -> None:
    """The message names the call and the arguments."""
    require_group(mode, dict.fromkeys(GROUPS[mode], 1))
    with pytest.raises(ConfigError, match=rf"{mode}\(\) needs {mode}_dataloader"):
        require_group(mode, {})
