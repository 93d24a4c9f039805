"""A preprocessed batch is what a loop over pixels makes of the images."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine.model import ImgDataPreprocessor

SIZES = st.lists(
    st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=4
)
MEAN, STD = [10.0, 20.0, 30.0], [1.0, 2.0, 4.0]


def by_hand(images: list[Tensor], divisor: int, value: float, *, swap: bool) -> Tensor:
    """The batch, pixel by pixel."""

    def up(size: int) -> int:
        while size % divisor:
            size += 1
        return size

    height = up(max(image.shape[1] for image in images))
    width = up(max(image.shape[2] for image in images))
    batch = torch.empty(len(images), 3, height, width)
    for number, image in enumerate(images):
        for channel in range(3):
            source = 2 - channel if swap else channel
            for row in range(height):
                for column in range(width):
                    inside = row < image.shape[1] and column < image.shape[2]
                    pixel = (
                        (image[source, row, column].float() - MEAN[channel])
                        / STD[channel]
                        if inside
                        else value
                    )
                    batch[number, channel, row, column] = pixel
    return batch


@given(
    sizes=SIZES,
    divisor=st.integers(1, 4),
    value=st.sampled_from([0.0, -1.5]),
    swap=st.booleans(),
    bytes_=st.booleans(),
)
def test_a_list_of_images_becomes_the_padded_batch(
    sizes: list[tuple[int, int]],
    divisor: int,
    value: float,
    swap: bool,
    bytes_: bool,
) -> None:
    """Swapped, normalised, padded at the right and bottom, for bytes and floats."""
    images = [torch.randint(0, 256, (3, *size)) for size in sizes]
    images = [image.to(torch.uint8 if bytes_ else torch.float32) for image in images]
    preprocess = ImgDataPreprocessor(MEAN, STD, divisor, value, bgr_to_rgb=swap)
    found = preprocess({"inputs": images})["inputs"]
    assert torch.equal(found, by_hand(images, divisor, value, swap=swap))


@given(
    count=st.integers(1, 3),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    divisor=st.integers(1, 4),
    swap=st.booleans(),
)
def test_a_stacked_batch_becomes_what_its_list_does(
    count: int, size: tuple[int, int], divisor: int, swap: bool
) -> None:
    """A collate function that stacks changes nothing."""
    images = torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8)
    preprocess = ImgDataPreprocessor(MEAN, STD, divisor, 7, rgb_to_bgr=swap)
    stacked = preprocess({"inputs": images})["inputs"]
    listed = preprocess({"inputs": list(images)})["inputs"]
    assert torch.equal(stacked, listed)
