"""The notice board of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import SerializationError
from engine.state import MessageHub


@pytest.mark.parametrize(
    "value",
    [
        2,
        2.0,
        torch.tensor(2.0),
        torch.tensor([[2]]),
        torch.tensor(2.0, requires_grad=True),
        torch.tensor(2.0, dtype=torch.bfloat16),
        np.float32(2),
        np.int64(2),
        np.array([2.0]),
    ],
    ids=repr,
)
def test_scalars_are_numbers_or_have_one_element(value: Any) -> None:
    """Whatever holds one number becomes a float."""
    hub = MessageHub()
    hub.update_scalar("train/loss", value)
    found = hub.get_scalar("train/loss").current()
    assert found == 2.0
    assert isinstance(found, int | float)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (torch.zeros(2), r"a tensor of shape \(2,\)"),
        (torch.zeros(0), r"a tensor of shape \(0,\)"),
        (np.zeros(3), "ndarray"),
        ("2", "str '2'"),
        (None, "NoneType"),
    ],
)
def test_other_values_are_no_scalars(value: Any, found: str) -> None:
    """The error names the key and what was found."""
    message = f"^scalar 'loss': expected a number or one element, found {found}"
    with pytest.raises(ValueError, match=message):
        MessageHub().update_scalar("loss", value)


def test_several_scalars_may_have_counts() -> None:
    """A mapping holds a value and, if it likes, a count."""
    hub = MessageHub()
    hub.update_scalars({"a": 1.0, "b": {"value": 6.0, "count": 4}, "c": {"value": 2}})
    assert hub.get_scalar("a").current() == 1.0
    assert hub.get_scalar("b").mean() == 1.5
    assert hub.get_scalar("c").mean() == 2.0
    with pytest.raises(ValueError, match=r"scalar 'd': a mapping needs 'value'"):
        hub.update_scalars({"d": {"count": 4}})


def test_an_unknown_scalar_gives_the_nearest_name() -> None:
    """A typo is answered with what was meant."""
    hub = MessageHub()
    hub.update_scalar("train/loss", 1.0)
    message = r"no scalar 'train/los' was recorded\. Did you mean 'train/loss'\?"
    with pytest.raises(LookupError, match=message):
        hub.get_scalar("train/los")


def test_facts_keep_their_last_value() -> None:
    """A fact is noted, read, taken away; what is not there has a default."""
    hub = MessageHub()
    hub.update_info("epoch", 1)
    hub.update_info_dict({"epoch": 2, "iter": 5})
    assert hub.get_info("epoch") == 2
    assert dict(hub.runtime_info) == {"epoch": 2, "iter": 5}
    assert hub.pop_info("epoch") == 2
    assert hub.get_info("epoch") is None
    assert hub.get_info("epoch", "none") == "none"
    assert hub.pop_info("epoch", 7) == 7


def test_what_is_not_to_be_resumed_is_not_saved() -> None:
    """``resumed=False`` keeps a scalar or a fact out of checkpoints."""
    hub = MessageHub()
    hub.update_scalars({"kept": 1.0})
    hub.update_scalars({"dropped": 1.0}, resumed=False)
    hub.update_info("fact", 1)
    hub.update_info("eta", 2, resumed=False)
    saved = hub.state_dict()
    assert set(saved["scalars"]) == {"kept"}
    assert saved["info"] == {"fact": 1}


def test_a_fact_that_is_no_plain_data_is_named_and_left_out() -> None:
    """A checkpoint never holds an object; the report can say which was lost."""
    hub = MessageHub()
    hub.update_info("plain", {"a": [1, (2, torch.ones(1))]})
    hub.update_info("object", object())
    hub.update_info("nested", [1, {"x": set()}])
    hub.update_info("passing", object(), resumed=False)
    assert hub.unsaved() == ["object", "nested"]
    assert set(hub.state_dict()["info"]) == {"plain"}


def test_saved_facts_are_copies() -> None:
    """Later changes reach neither into what was saved nor into what was loaded."""
    hub = MessageHub()
    fact: dict[str, Any] = {"list": [1], "tensor": torch.zeros(2)}
    hub.update_info("fact", fact)
    saved = hub.state_dict()
    loaded = MessageHub()
    loaded.load_state_dict(saved)
    fact["list"].append(2)
    fact["tensor"].fill_(9)
    assert saved["info"]["fact"]["list"] == [1]
    assert saved["info"]["fact"]["tensor"].tolist() == [0, 0]
    saved["info"]["fact"]["list"].append(3)
    found = loaded.get_info("fact")
    assert found["list"] == [1]
    assert found["tensor"].tolist() == [0, 0]


def test_loading_keeps_what_the_saved_hub_lacks() -> None:
    """A hook of the new run may have recorded something before the resume."""
    saved = MessageHub()
    saved.update_info("epoch", 3)
    saved.update_scalar("train/loss", 1.5)
    hub = MessageHub()
    hub.update_info("epoch", 0)
    hub.update_info("new", True)
    hub.update_scalar("new", 4.0)
    hub.load_state_dict(saved.state_dict())
    assert dict(hub.runtime_info) == {"epoch": 3, "new": True}
    assert hub.get_scalar("new").current() == 4.0
    assert hub.get_scalar("train/loss").current() == 1.5


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ([], "a list"),
        ({}, r"a mapping with the keys \[\]"),
        ({"format": 2, "scalars": {}, "info": {}}, "'format', 'info', 'scalars'"),
        ({"format": 1, "scalars": {}}, "'format', 'scalars'"),
        ({"format": 1, "scalars": {}, "info": {}, "x": 1}, "'x'"),
    ],
)
def test_a_state_of_another_form_is_refused(state: Any, found: str) -> None:
    """The error says what was expected and what was found."""
    with pytest.raises(SerializationError, match=f"^a message hub: .*found .*{found}"):
        MessageHub().load_state_dict(state)


def test_a_window_can_be_asked_for_before_the_first_value() -> None:
    """``reserve`` makes room for scalars that are not there yet."""
    hub = MessageHub(history=2)
    hub.reserve("train/loss", 4)
    for value in range(10):
        hub.update_scalar("train/loss", value)
        hub.update_scalar("other", value)
    assert hub.get_scalar("train/loss").data[0].tolist() == [6, 7, 8, 9]
    assert hub.get_scalar("other").data[0].tolist() == [8, 9]


def test_a_reserved_scalar_is_saved_as_its_first_value_says() -> None:
    """Who asks for a window does not say whether a checkpoint carries it."""
    hub = MessageHub()
    for key in ("speed", "kept", "made"):
        hub.reserve(key, 4)
    hub.update_scalar("speed", 1.0, resumed=False)
    hub.scalar("made", resumed=False).update(1.0)
    hub.update_scalar("kept", 1.0)
    assert set(hub.state_dict()["scalars"]) == {"kept"}


def test_views_of_a_hub_are_read_only() -> None:
    """Changes go through the methods."""
    hub = MessageHub()
    for view in (hub.log_scalars, hub.runtime_info):
        with pytest.raises(TypeError):
            view["x"] = 1  # type: ignore[index]  # the mistake tested


def test_it_goes_back_to_what_it_was() -> None:
    """What came since goes, what no checkpoint carries stays; histories live on."""
    hub = MessageHub()
    hub.update_scalar("train/loss", 1.0)
    hub.update_info("epoch", 1)
    loss = hub.get_scalar("train/loss")
    saved = hub.state_dict()
    hub.update_scalar("train/loss", float("nan"))
    hub.update_scalar("val/loss", 2.0)
    hub.update_info("best", 3)
    hub.update_info("path", "here", resumed=False)
    hub.forget_since(saved)
    hub.load_state_dict(saved)
    assert hub.state_dict() == saved
    assert hub.get_scalar("train/loss") is loss
    assert hub.get_info("path") == "here"
