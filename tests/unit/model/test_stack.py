"""stack_batch and merge_dict."""

from __future__ import annotations

import pytest
import torch

from engine.errors import ConfigError, DataError
from engine.model import merge_dict, stack_batch


def test_equal_sizes_are_stacked_as_torch_does() -> None:
    """Without anything to pad, values and dtype are those of ``torch.stack``."""
    images = [torch.full((3, 2, 2), value, dtype=torch.uint8) for value in (1, 2)]
    assert torch.equal(stack_batch(images), torch.stack(images))


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ([], "at least one tensor"),
        ([torch.ones(1, 2), torch.ones(1, 2, 2)], "as many axes"),
        ([torch.ones(1, 2, 2), torch.ones(3, 2, 2)], "as many channels"),
        ([torch.ones(())], "as many axes"),
    ],
)
def test_tensors_that_do_not_go_into_one_say_why(
    tensors: list[torch.Tensor], text: str
) -> None:
    """The message has the shapes that were found."""
    with pytest.raises(DataError, match=text):
        stack_batch(tensors)


def test_a_divisor_below_one_is_refused() -> None:
    """There is no such multiple."""
    with pytest.raises(ConfigError, match="pad_size_divisor is 0"):
        stack_batch([torch.ones(1, 1, 1)], 0)


def test_merging_keeps_all_keys_and_the_last_value() -> None:
    """Nothing merged is nothing."""
    assert merge_dict() == {}
    assert merge_dict({"a": 1}, {}, {"b": 2, "a": 3}) == {"a": 3, "b": 2}
