"""One comparison for everybody: what differs, where, and by how much."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.checkpoint import compare_checkpoints, find_differences, split_parts
from tests.runs import bits

TREES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 3),
        st.floats(),
        st.sampled_from(["", "a"]),
        st.lists(st.floats(width=32), max_size=3).map(torch.tensor),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    ),
    max_leaves=6,
)


@given(one=TREES, other=TREES)
def test_no_difference_means_equal_bits(one: Any, other: Any) -> None:
    """Found is a difference where bits differ, and only there."""
    told = list(find_differences(one, other))
    assert bool(told) == (repr(bits(one)) != repr(bits(other)))


@given(tree=TREES)
def test_a_tree_is_equal_to_its_copy(tree: Any) -> None:
    """NaN, -0.0 and empty tensors included."""
    assert list(find_differences(tree, copy.deepcopy(tree))) == []


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (1, 3, "it: 1 and 3, a difference of 2"),
        (0.0, -0.0, "it: 0.0 and -0.0: other bits"),
        (1, 1.0, "it: 1 and 1.0"),
        ({"a": 1}, {}, "it['a']: only the first one has it"),
        ({}, {"a": 1}, "it['a']: only the second one has it"),
        ([1], [1, 2], "it: 1 entries and 2"),
        (
            {"w": torch.tensor([1.0, 2.0])},
            {"w": torch.tensor([1.0, 2.5])},
            "it['w']: 1 of 2 elements differ, by up to 0.5",
        ),
        (torch.ones(2), torch.ones(3), "it: float32 of shape (2,) and float32 of"),
        (
            torch.ones(1),
            torch.ones(1).double(),
            "it: float32 of shape (1,) and float64",
        ),
        (torch.ones(1), None, "it: float32 of shape (1,) and None"),
    ],
)
def test_a_difference_says_where_and_how_much(one: Any, other: Any, told: str) -> None:
    """In one line."""
    assert str(next(find_differences(one, other))).startswith(told)


def test_the_size_of_a_difference_passes_over_what_is_equal() -> None:
    """Infinities and NaN that both have are no difference."""
    one = torch.tensor([torch.inf, torch.nan, 1.0])
    other = torch.tensor([torch.inf, torch.nan, 1.25])
    (found,) = find_differences(one, other)
    assert found.size == 0.25
    assert found.what == "1 of 3 elements differ, by up to 0.25"


def checkpoint(**changes: Any) -> dict[str, Any]:
    """A small one, in our form."""
    made: dict[str, Any] = {
        "meta": {"epoch": 1, "iter": 2, "seed": 3, "time": "now"},
        "state_dict": {"w": torch.ones(2)},
        "optimizer": {"lr": 0.1},
        "message_hub": {"scalars": {"train/loss": 1.0, "train/time": 0.5}, "info": {}},
        "engine": {
            "format": 1,
            "run_state": {"phase": "training", "elapsed_seconds": 3.0, "samples": 4},
            "hooks": {"early": {"patience": 1}},
            "parts": {},
            "randomness": {"torch": torch.zeros(2)},
            "environment": {"threads": 2},
            "at_safe_point": True,
        },
    }
    for path, value in changes.items():
        *way, last = path.split("__")
        inside = made
        for name in way:
            inside = inside[name]
        inside[last.replace("_slash_", "/")] = value
    return made


def test_clocks_names_and_stops_are_not_compared() -> None:
    """Two runs that are the same differ in them."""
    other = checkpoint(
        meta__time="later",
        meta__experiment_name="b",
        engine__run_state__phase="interrupted",
        engine__run_state__elapsed_seconds=9.0,
        engine__environment={"threads": 8},
        engine__at_safe_point=False,
        message_hub__scalars__train_slash_time=0.25,
    )
    assert list(compare_checkpoints(checkpoint(), other)) == []


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("state_dict__w", torch.zeros(2), "weights['w']: 2 of 2 elements"),
        ("optimizer__lr", 0.2, "optimizer['lr']: 0.1 and 0.2"),
        ("engine__hooks__early", {"patience": 2}, "hook 'early'['patience']: 1 and 2"),
        ("engine__hooks__late", {}, "hook 'late': only the second one has it"),
        ("engine__parts__sampler", {}, "part 'sampler': only the second one has it"),
        ("engine__run_state__samples", 5, "place['samples']: 4 and 5"),
        ("engine__gradients", None, "gradients: only the second one has it"),
        ("engine__randomness__torch", torch.ones(2), "generators['torch']: 2 of 2"),
        ("message_hub__scalars__train_slash_loss", 2.0, "message hub['scalars']"),
        ("theirs", 1, "theirs: only the second one has it"),
    ],
)
def test_whatever_else_is_in_a_checkpoint_is_compared(
    path: str, value: Any, told: str
) -> None:
    """Each part by its name, what nobody knows too."""
    (found,) = compare_checkpoints(checkpoint(), checkpoint(**{path: value}))
    assert str(found).startswith(told)


def test_averages_are_told_from_weights() -> None:
    """With an EMAHook the averages stand where weights do."""
    parts = split_parts(checkpoint(ema_state_dict={"module.w": torch.zeros(2)}))
    assert parts["weights"]["module.w"].sum() == 0
    assert parts["averages"]["w"].sum() == 2


def test_bare_weights_are_compared_as_such() -> None:
    """What export wrote, or another trainer."""
    (found,) = compare_checkpoints({"w": torch.ones(1)}, {"w": torch.zeros(1)})
    assert str(found) == "weights['w']: 1 of 1 elements differ, by up to 1"
