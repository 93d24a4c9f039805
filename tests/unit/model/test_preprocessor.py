"""Preprocessors: batches on their device, images as one batch."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from engine.errors import ConfigError, DataError
from engine.model import BaseDataPreprocessor, ImgDataPreprocessor

META = torch.device("meta")
Pair = namedtuple("Pair", ["image", "label"])  # noqa: PYI024 - what a dataset yields


class Sample:
    """A data sample that can be moved."""

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.options: dict[str, Any] = {}

    def to(self, device: torch.device, **options: Any) -> Sample:
        moved = Sample()
        moved.device, moved.options = device, options
        return moved


def test_tensors_are_moved_wherever_they_are() -> None:
    """Containers keep their form, and what cannot be moved stays."""
    one = torch.ones(1)
    data = {"a": [one, (one, None)], "b": Pair(one, "text"), "c": 3, "d": Sample}
    moved = BaseDataPreprocessor().to(META).cast_data(data)
    assert moved["a"][0].device == META
    assert moved["a"][1][0].device == META
    assert moved["a"][1][1] is None
    assert isinstance(moved["b"], Pair)
    assert (moved["b"].image.device, moved["b"].label) == (META, "text")
    assert (moved["c"], moved["d"]) == (3, Sample)
    assert one.device == torch.device("cpu")


def test_objects_that_can_be_moved_are() -> None:
    """Data samples and packed sequences have a ``to`` of their own."""
    preprocess = BaseDataPreprocessor().to(META)
    sample = preprocess({"s": Sample()})["s"]
    assert (sample.device, sample.options) == (META, {})
    packed = preprocess.cast_data(pack_sequence([torch.ones(2)]))
    assert isinstance(packed, PackedSequence)
    assert packed.data.device == META


def test_non_blocking_is_passed_on_where_it_is_asked_for() -> None:
    """Each ``to`` gets it."""
    preprocess = BaseDataPreprocessor(non_blocking=True)
    assert preprocess.cast_data(Sample()).options == {"non_blocking": True}


def test_images_without_settings_become_a_float_batch() -> None:
    """Nothing is normalised or swapped; samples are there, if only as None."""
    image = torch.arange(12, dtype=torch.uint8).view(3, 2, 2)
    data = {"inputs": [image]}
    batch = ImgDataPreprocessor()(data)
    assert torch.equal(batch["inputs"], image.float()[None])
    assert batch["data_samples"] is None
    assert data == {"inputs": [image]}


def test_one_mean_serves_images_of_one_channel() -> None:
    """Grey images need one value."""
    batch = ImgDataPreprocessor([1.0], [2.0])({"inputs": [torch.full((1, 2, 2), 5)]})
    assert batch["inputs"].unique().tolist() == [2.0]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"bgr_to_rgb": True, "rgb_to_bgr": True}, "both set"),
        ({"mean": [1.0]}, "go together"),
        ({"std": [1.0]}, "go together"),
        ({"mean": [1, 2], "std": [1, 2]}, "mean has 2 values"),
        ({"pad_size_divisor": 0}, "pad_size_divisor is 0"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    arguments: dict[str, Any], text: str
) -> None:
    """Each message says what does."""
    with pytest.raises(ConfigError, match=text):
        ImgDataPreprocessor(**arguments)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ([torch.ones(3, 2, 2)], "the batch has a list"),
        ({"image": 1}, "the batch has the keys 'image'"),
        ({"inputs": []}, "a list as 'inputs'"),
        ({"inputs": ["a.png"]}, "inputs has a str"),
        ({"inputs": torch.ones(3, 2, 2)}, r"a tensor of shape \(3, 2, 2\)"),
        ({"inputs": [torch.ones(1, 2, 2)]}, r"shape \(1, 2, 2\), .* \(3, height"),
    ],
)
def test_batches_without_fitting_images_say_so(data: Any, text: str) -> None:
    """The message has what was found and what is needed."""
    preprocess = ImgDataPreprocessor([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])
    with pytest.raises(DataError, match=text):
        preprocess(data)
