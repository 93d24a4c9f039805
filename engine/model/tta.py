"""Test time augmentation: one prediction out of those for several views."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch.nn import Module

from engine.errors import ModelError, a_type
from engine.model.base_model import BaseModel
from engine.registry import MODELS

if TYPE_CHECKING:
    from engine.typing import Batch, Spec

__all__ = ["BaseTTAModel"]


class BaseTTAModel(BaseModel):
    """Lets a model predict several views of each sample, and merges what it predicts.

    A batch holds, for each of its entries, one batch for each view: what
    ``pseudo_collate`` makes of samples whose entries are lists of views.

    Args:
        module: The model, or its spec; its ``test_step`` predicts one view.
        data_preprocessor: As for :class:`BaseModel`; the model's own prepares views.

    Raises:
        ModelError: ``module`` has no ``test_step``.
    """

    def __init__(
        self,
        module: Module | Spec,
        data_preprocessor: Module | Spec | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        built = MODELS.build(module) if isinstance(module, Mapping) else module
        if not isinstance(built, Module) or not hasattr(built, "test_step"):
            msg = (
                f"{type(self).__name__}: module is {a_type(built)}, but a model with a "
                "test_step is needed, or a spec of one"
            )
            raise ModelError(msg)
        self.module = built

    @abstractmethod
    def merge_preds(self, data_samples_list: list[list[Any]]) -> list[Any]:
        """Merge the predictions of each sample's views into one.

        Args:
            data_samples_list: For each sample what the model returned for each view.

        Returns:
            One element for each sample, as the model's ``test_step`` returns.
        """

    def test_step(self, data: Batch) -> list[Any]:
        """Predict each view of a batch, and merge the predictions.

        Args:
            data: Entries by name, or in a row; each is a list with one for each view.

        Raises:
            ModelError: The batch has no views, or entries differ in their number.
        """
        views = _views(data)
        predicted = [self.module.test_step(view) for view in views]  # type: ignore[operator]  # looked up in __init__
        return self.merge_preds([list(some) for some in zip(*predicted, strict=True)])

    def val_step(self, data: Batch) -> Any:
        """Predict one view, as the model does: only tests are augmented."""
        return self.module.val_step(data)  # type: ignore[operator]  # the user's model

    def forward(
        self, inputs: Any, data_samples: Any = None, mode: str = "tensor"
    ) -> Any:
        """Run the model on one view."""
        return self.module(inputs, data_samples, mode=mode)


def _views(data: Any) -> list[Any]:
    """A batch for each view."""
    if isinstance(data, Mapping):
        names, entries = list(data), list(data.values())
    elif isinstance(data, list | tuple):
        names, entries = [], list(data)
    else:
        names, entries = [], []
    counts = {len(entry) for entry in entries if isinstance(entry, list | tuple)}
    if len(counts) != 1 or not all(isinstance(one, list | tuple) for one in entries):
        msg = (
            "test time augmentation: each entry of a batch must be a list with one "
            f"element for each view, found {a_type(data)} with "
            f"{[a_type(entry) for entry in entries]}. Let the dataset give lists of "
            "views, and the loader use pseudo_collate."
        )
        raise ModelError(msg)
    rows = list(zip(*entries, strict=True))
    if names:
        return [dict(zip(names, row, strict=True)) for row in rows]
    return [list(row) for row in rows]
