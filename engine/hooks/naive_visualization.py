"""Shows what a model makes of the test's images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from engine.errors import DataError, a_type
from engine.events import Priority
from engine.hooks.hook import Hook
from engine.registry import HOOKS

if TYPE_CHECKING:
    from engine.state import RunContext
    from engine.typing import Batch

__all__ = ["NaiveVisualizationHook"]


@HOOKS.register_module()
class NaiveVisualizationHook(Hook):
    """Shows the test's images by ``visualizer.add_datasample``, and the model's graph.

    The inputs of a batch are images: what is under ``"inputs"`` of a mapping, or the
    first of a pair; a tensor of shape (batch, channels, height, width) or a list of
    (channels, height, width), with one or three channels. Floats that do not lie from 0
    to 1, as normalized ones, are stretched to that. A picture is called as the file of
    its sample (``img_path``), or by its place in the batch; its step is the number of
    the batch, from 1.

    Args:
        interval: Batches between two that are shown, at least 1.
        draw_gt: Whether a visualizer that can should draw what is true.
        draw_pred: Whether it should draw what was predicted.
    """

    priority: ClassVar[Priority] = Priority.NORMAL

    def __init__(
        self, interval: int = 1, draw_gt: bool = True, draw_pred: bool = True
    ) -> None:
        self.interval = interval
        self.draw_gt = draw_gt
        self.draw_pred = draw_pred

    def before_train(self, runner: RunContext) -> None:
        """Show how the model is built, in backends that need no batch for it."""
        runner.visualizer.add_graph(runner.model, None)

    def after_test_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Show the batch's images, if it is its turn.

        Raises:
            DataError: Its inputs are no images.
        """
        if not self.every_n_inner_iters(batch_idx, self.interval):
            return
        images = list(_images(data_batch))
        for place, (image, sample) in enumerate(
            zip(images, _samples(outputs, len(images)), strict=True)
        ):
            runner.visualizer.add_datasample(
                _file_of(sample) or f"test_{place}",
                image,
                sample,
                draw_gt=self.draw_gt,
                draw_pred=self.draw_pred,
                step=batch_idx + 1,
            )


def _images(data_batch: Any) -> Iterator[Tensor]:
    """Each image of a batch, shape (height, width, channels)."""
    inputs = data_batch
    if isinstance(inputs, Mapping):
        inputs = inputs.get("inputs")
    elif isinstance(inputs, (list, tuple)) and len(inputs) == 2:  # noqa: PLR2004 - a pair
        inputs = inputs[0]
    if not isinstance(inputs, (Tensor, list, tuple)):
        raise DataError(_no_images(a_type(inputs)))
    for image in inputs:
        if not isinstance(image, Tensor):
            raise DataError(_no_images(a_type(image)))
        if image.dim() != 3 or image.shape[0] not in (1, 3):  # noqa: PLR2004 - and colours
            raise DataError(_no_images(f"a tensor of shape {tuple(image.shape)}"))
        shown = image.detach().cpu().permute(1, 2, 0)
        if shown.is_floating_point():
            low, high = shown.min(), shown.max()
            if low < 0 or high > 1:
                shown = (shown - low) / (high - low).clamp(min=1e-12)
            shown = shown.float()  # NumPy has no bfloat16
        yield shown


def _samples(outputs: Any, number: int) -> list[Any]:
    """What the model gave for each of the images."""
    found = list(outputs or ())
    if len(found) == number:
        return found
    if len(found) == 1 and isinstance(found[0], Mapping):  # one for the whole batch
        return [
            {name: _part(value, index, number) for name, value in found[0].items()}
            for index in range(number)
        ]
    return [None] * number


def _part(value: Any, index: int, number: int) -> Any:
    whole = isinstance(value, (Tensor, list, tuple)) and len(value) == number
    return value[index] if whole else value


def _file_of(sample: Any) -> str | None:
    get = getattr(sample, "get", None)
    path = get("img_path") if callable(get) else getattr(sample, "img_path", None)
    return None if path is None else PurePath(str(path)).name


def _no_images(found: str) -> str:
    return (
        f"NaiveVisualizationHook: the test's inputs are {found}, but images are "
        "needed: a tensor of shape (batch, channels, height, width) with 1 or 3 "
        "channels, or a list of such tensors without the batch. Leave the hook out "
        "for other data."
    )
