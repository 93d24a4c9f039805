"""A model that says in one ``forward`` what its three steps do.

::

    train_step(data, optim_wrapper)        val_step(data), test_step(data)
    ├── data_preprocessor(data, True)      ├── data_preprocessor(data, False)
    ├── forward(..., mode="loss")          └── forward(..., mode="predict")
    ├── parse_losses(losses)
    └── optim_wrapper.update_params(loss)
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch.nn import Module

from engine.errors import ModelError, a_type
from engine.model.base_module import BaseModule
from engine.model.losses import parse_losses
from engine.model.preprocessor import BaseDataPreprocessor
from engine.registry import MODELS

if TYPE_CHECKING:
    from torch import Tensor

    from engine.model.steps import OptimizerWrapper
    from engine.typing import Batch, Spec

__all__ = ["BaseModel", "call_with"]


class BaseModel(BaseModule, metaclass=ABCMeta):
    """A model with the three steps that loops call, all over its ``forward``.

    Args:
        data_preprocessor: A module that is called with a batch and whether it is
            trained on, or its spec. It moves with the model. ``None``:
            :class:`BaseDataPreprocessor`, which moves batches to the model's device.
        init_cfg: As for :class:`BaseModule`.

    Raises:
        ModelError: ``data_preprocessor`` is something else.
    """

    def __init__(
        self,
        data_preprocessor: Module | Spec | None = None,
        init_cfg: Spec | list[Spec] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.data_preprocessor = _preprocessor(data_preprocessor, type(self).__name__)

    @abstractmethod
    def forward(
        self, inputs: Any, data_samples: Any = None, mode: str = "tensor"
    ) -> Any:
        """Run the model on a prepared batch.

        Args:
            inputs: What the preprocessor returned as first, or under this name; a
                subclass names its arguments as its batches do.
            data_samples: What belongs to the inputs, such as labels; ``None`` for
                nothing.
            mode: What to return. ``"loss"``: losses by name, as :meth:`parse_losses`
                takes them. ``"predict"``: a list, for metrics, with one element for
                each sample. ``"tensor"``: plain outputs.
        """

    def train_step(
        self, data: Batch, optim_wrapper: OptimizerWrapper
    ) -> dict[str, Tensor]:
        """Run forward and backward on one batch, and let the optimizer step.

        Args:
            data: One batch.
            optim_wrapper: Steps the optimizer when its window of iterations is full.

        Returns:
            Detached values to log, shape ``()``, on the model's device.

        Raises:
            ModelError: The preprocessor or ``forward`` returned something of the
                wrong form.
        """
        with optim_wrapper.optim_context(self):
            data = self.data_preprocessor(data, True)
            losses = call_with(self, data, mode="loss")
        # Outside: torch advises against a backward under autocast.
        loss, values = self.parse_losses(losses)
        optim_wrapper.update_params(loss)
        return values

    def val_step(self, data: Batch) -> Any:
        """Predict on one batch; the caller has seen to ``eval`` and ``no_grad``.

        Args:
            data: One batch.

        Returns:
            What ``forward`` returns in mode ``"predict"``.

        Raises:
            ModelError: The preprocessor returned something of the wrong form.
        """
        data = self.data_preprocessor(data, False)
        return call_with(self, data, mode="predict")

    def test_step(self, data: Batch) -> Any:
        """Do as :meth:`val_step` does."""
        return self.val_step(data)

    def parse_losses(self, losses: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Reduce what ``forward`` returned in mode ``"loss"``.

        Args:
            losses: Tensors, or lists of them, by name. Each counts with its mean;
                those whose names contain ``loss`` are summed, others only logged.

        Returns:
            The loss to differentiate, and the detached values to log.

        Raises:
            ModelError: It is something else, or no name contains ``loss``.
        """
        try:
            return parse_losses(losses)
        except ModelError as error:
            error.add_note(f"in {type(self).__name__}.forward, mode='loss'")
            raise


def call_with(model: Module, data: Any, *, mode: str) -> Any:
    """Call a model with a prepared batch.

    Args:
        model: Called as ``model(**data, mode=mode)`` for a mapping and as
            ``model(*data, mode=mode)`` for a list or tuple.
        data: What the preprocessor returned.
        mode: As for :meth:`BaseModel.forward`.

    Raises:
        ModelError: ``data`` is something else.
    """
    if isinstance(data, Mapping):
        return model(**data, mode=mode)
    if isinstance(data, (list, tuple)):
        return model(*data, mode=mode)
    msg = (
        f"{type(model).__name__}: the data preprocessor returned "
        f"{a_type(data)}, but a mapping, list or tuple is needed: the "
        "arguments of forward. Make the loader's batches, or the preprocessor, give "
        "one."
    )
    raise ModelError(msg)


def _preprocessor(given: Any, name: str) -> Module:
    """The preprocessor that an argument stands for."""
    if given is None:
        return BaseDataPreprocessor()
    built = MODELS.build(given) if isinstance(given, Mapping) else given
    if isinstance(built, Module):
        return built
    msg = (
        f"{name}: data_preprocessor is {given!r}, but a module, its spec such as "
        "{'type': 'ImgDataPreprocessor'}, or None is needed."
    )
    raise ModelError(msg)
