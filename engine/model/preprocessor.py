"""From what a loader yields to what a model takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import pad

from engine.errors import ConfigError, DataError, a_type
from engine.model.stack import stack_batch
from engine.registry import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.typing import Batch

__all__ = ["BaseDataPreprocessor", "ImgDataPreprocessor"]

_RGB = 3


@MODELS.register_module()
class BaseDataPreprocessor(Module):
    """Moves batches to the device of the model that it is a part of.

    Args:
        non_blocking: Whether copies from pinned memory run beside the host's work.
    """

    def __init__(self, non_blocking: bool = False) -> None:
        super().__init__()
        self._non_blocking = non_blocking
        self._device = torch.device("cpu")

    @property
    def device(self) -> torch.device:
        """Where batches are moved to."""
        return self._device

    def cast_data(self, data: Any) -> Any:
        """``data`` on this module's device.

        Args:
            data: What has a ``to`` method (tensors, data samples) is moved, also
                inside mappings (which become dicts), lists, tuples and namedtuples;
                anything else is left as it is. It is not changed.
        """
        if not isinstance(data, type) and callable(getattr(data, "to", None)):
            # Not each `to` knows non_blocking, so only who asks for it passes it.
            extra = {"non_blocking": True} if self._non_blocking else {}
            return data.to(self.device, **extra)
        if isinstance(data, Mapping):
            return {key: self.cast_data(value) for key, value in data.items()}
        if isinstance(data, tuple) and hasattr(data, "_fields"):  # a namedtuple
            return type(data)(*(self.cast_data(value) for value in data))
        if isinstance(data, (list, tuple)):
            return type(data)(self.cast_data(value) for value in data)
        return data

    def forward(self, data: Batch, training: bool = False) -> Any:
        """Prepare one batch.

        Args:
            data: What the loader yielded. It is not changed.
            training: Whether it is trained on; for subclasses that augment.

        Returns:
            A mapping, list or tuple: what the model's ``forward`` is called with.
        """
        return self.cast_data(data)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        # torch calls this on each module below the one that is moved, by any of its
        # ways (to, cuda, cpu, to_empty); it does not call their `to`.
        self._device = fn(torch.empty(0, device=self._device)).device
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call] # torch's


@MODELS.register_module()
class ImgDataPreprocessor(BaseDataPreprocessor):
    """Makes one normalised float batch of images, all of the largest one's size.

    Channels are swapped, then values normalised, then images padded at the right and
    the bottom.

    Args:
        mean: Subtracted, one value for each channel (three), or one for all.
        std: Divided by, as ``mean``; the two go together.
        pad_size_divisor: Height and width become multiples of it; at least 1.
        pad_value: What images are padded with, after they were normalised.
        bgr_to_rgb: Whether the first and the third channel change places.
        rgb_to_bgr: The same by its other name; at most one of the two is set.
        non_blocking: As for :class:`BaseDataPreprocessor`.

    Raises:
        ConfigError: The arguments do not go together.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        pad_size_divisor: int = 1,
        pad_value: float = 0,
        bgr_to_rgb: bool = False,
        rgb_to_bgr: bool = False,
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking)
        _check_settings(mean, std, both=bgr_to_rgb and rgb_to_bgr)
        if pad_size_divisor < 1:
            msg = (
                f"ImgDataPreprocessor: pad_size_divisor is {pad_size_divisor}. Take 1 "
                "or more."
            )
            raise ConfigError(msg)
        for name, values in (("mean", mean), ("std", std)):
            shaped = None
            if values is not None:  # kept in a model that is built without memory
                shaped = torch.tensor(values, device="cpu").view(-1, 1, 1)
            # Not saved: they are settings, and a file of weights has none.
            self.register_buffer(name, shaped, persistent=False)
        self._channel_conversion = rgb_to_bgr or bgr_to_rgb
        self.pad_size_divisor = pad_size_divisor
        self.pad_value = pad_value

    def forward(self, data: Batch, training: bool = False) -> dict[str, Any]:
        """Prepare one batch of images.

        Args:
            data: Has under ``"inputs"`` a list of images, each of shape (channels,
                height, width), or one batch of shape (images, channels, height,
                width), of any dtype. It is not changed.
            training: As for :meth:`BaseDataPreprocessor.forward`.

        Returns:
            The mapping with one float tensor of shape (images, channels, height,
            width) as ``"inputs"``, and ``"data_samples"``, ``None`` if there were none.

        Raises:
            DataError: ``data`` has no such images.
        """
        if not isinstance(data, Mapping) or "inputs" not in data:
            raise DataError(_no_inputs(data))
        batch: dict[str, Any] = self.cast_data(data)
        images = batch["inputs"]
        if isinstance(images, Tensor):
            if images.dim() != 4:  # noqa: PLR2004 - images, channels, height, width
                msg = (
                    f"ImgDataPreprocessor: inputs is a tensor of shape "
                    f"{tuple(images.shape)}, but a batch has the shape (images, "
                    "channels, height, width). Stack images along a new axis."
                )
                raise DataError(msg)
            images = self._prepare(images)
            height, width = images.shape[-2:]
            bottom = -height % self.pad_size_divisor
            right = -width % self.pad_size_divisor
            images = pad(images, (0, right, 0, bottom), "constant", self.pad_value)
        elif isinstance(images, (list, tuple)) and images:
            ready = [self._prepare(_tensor(each)) for each in images]
            images = stack_batch(ready, self.pad_size_divisor, self.pad_value)
        else:
            raise DataError(_no_inputs(data))
        batch["inputs"] = images
        batch.setdefault("data_samples", None)
        return batch

    def _prepare(self, images: Tensor) -> Tensor:
        """Swap channels and normalise; shape (..., channels, height, width) stays."""
        if self.mean is not None or self._channel_conversion:
            self._check_channels(tuple(images.shape))
        if self._channel_conversion:
            images = images[..., [2, 1, 0], :, :]
        # After the swap, which is cheaper on bytes.
        images = images.float()
        if self.mean is None or self.std is None:
            return images
        return (images - self.mean) / self.std

    def _check_channels(self, shape: tuple[int, ...]) -> None:
        colour = self._channel_conversion or (
            self.mean is not None and len(self.mean) == _RGB
        )
        is_image = len(shape) in {3, 4}
        if not is_image or (colour and shape[-3] != _RGB):
            wanted = "(3, height, width)" if colour else "(channels, height, width)"
            msg = (
                f"ImgDataPreprocessor: an image has the shape {shape}, but with this "
                f"mean or swap of channels {wanted} is needed."
            )
            raise DataError(msg)


def _tensor(found: Any) -> Tensor:
    """One image of a list, or an error."""
    if isinstance(found, Tensor):
        return found
    msg = (
        f"ImgDataPreprocessor: inputs has {a_type(found)}, but each image is "
        "a tensor of shape (channels, height, width). Convert it in the dataset."
    )
    raise DataError(msg)


def _no_inputs(found: Any) -> str:
    """What to say of a batch without images."""
    kind = f"{a_type(found)}"
    if isinstance(found, Mapping):
        kind = f"the keys {', '.join(map(repr, found)) or 'none'}"
        if "inputs" in found:
            kind = f"{a_type(found['inputs'])} as 'inputs'"
    return (
        f"ImgDataPreprocessor: the batch has {kind}, but 'inputs' is needed with a "
        "list of images, at least one, or a tensor of them. Make the dataset give "
        "{'inputs': image, 'data_samples': ...}."
    )


def _check_settings(
    mean: Sequence[float] | None, std: Sequence[float] | None, *, both: bool
) -> None:
    """Raise unless mean and std go together and the swap is named once."""
    if both:
        msg = (
            "ImgDataPreprocessor: bgr_to_rgb and rgb_to_bgr are both set, which would "
            "swap the channels back. Set one."
        )
        raise ConfigError(msg)
    if (mean is None) != (std is None):
        msg = (
            f"ImgDataPreprocessor: mean is {mean} and std is {std}, but they go "
            "together. Set both or none."
        )
        raise ConfigError(msg)
    for name, values in (("mean", mean), ("std", std)):
        if values is not None and len(values) not in {1, _RGB}:
            msg = (
                f"ImgDataPreprocessor: {name} has {len(values)} values, but one for "
                "each channel (three), or one for all, is needed."
            )
            raise ConfigError(msg)
