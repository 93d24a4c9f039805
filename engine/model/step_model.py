"""A plain module made trainable, without a subclass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import Module

from engine.errors import DataError, ModelError, a_type
from engine.model.device import device_of, to_device
from engine.model.losses import parse_losses
from engine.model.transparent import TransparentModule
from engine.registry import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.model.steps import OptimizerWrapper
    from engine.typing import Batch

__all__ = ["StepModel"]


@MODELS.register_module()
class StepModel(TransparentModule):
    """Gives a plain module the three steps that loops call.

    One step is ``outputs = module(inputs)``, then ``loss(outputs, targets)``. The
    wrapped module is not hidden: ``state_dict`` and ``named_parameters`` have its own
    names, so weights move between it and a ``StepModel`` as they are, and attributes
    that a ``StepModel`` lacks (``init_weights``, ``no_sync``) are looked up in it.

    Args:
        module: Called with one argument, the inputs.
        loss: Called with outputs and targets; returns a tensor with one element, or a
            mapping of names to tensors. Of a mapping, all entries whose names contain
            ``loss`` are summed, and others are only logged: do not return a total
            beside its parts. A loss that is a module moves with the model; its state,
            if it has any, is saved as ``loss.*``.
        preprocess: Called with a batch; returns inputs and targets (``None`` where
            there are none). ``None``: a batch is a list or tuple of the two. Tensors
            in them, also inside lists, tuples and dicts, are then moved to the
            module's device. A module's state, if any, is saved as ``preprocess.*``.

    Raises:
        ModelError: ``module`` is no module, ``loss`` or ``preprocess`` cannot be
            called, or their state and the module's have a name in common.
    """

    def __init__(
        self,
        module: Module,
        loss: Callable[[Any, Any], Tensor | Mapping[str, Tensor]],
        preprocess: Callable[[Batch], tuple[Any, Any]] | None = None,
    ) -> None:
        if not isinstance(module, Module):
            found = module.__name__ if isinstance(module, type) else repr(module)
            msg = (
                f"StepModel: module is {found}, not a torch.nn.Module. Make the "
                "module first and pass it."
            )
            raise ModelError(msg)
        for name, part in (("loss", loss), ("preprocess", preprocess)):
            if not callable(part) and not (part is None and name == "preprocess"):
                msg = (
                    f"StepModel: {name} is {part!r}, but a function or module is "
                    "needed, such as torch.nn.functional.cross_entropy."
                )
                raise ModelError(msg)
        super().__init__(module)
        self.loss = loss
        self.preprocess = preprocess
        common = module.state_dict().keys() & self._state_beside().keys()
        if common:
            msg = (
                f"StepModel: {min(common)!r} is in the state of {type(module).__name__}"
                " and of what was passed beside it. Rename the module's attribute."
            )
            raise ModelError(msg)

    def train_step(
        self, data: Batch, optim_wrapper: OptimizerWrapper
    ) -> dict[str, Tensor]:
        """Run forward, loss and backward on one batch, and let the optimizer step.

        Args:
            data: One batch.
            optim_wrapper: Steps the optimizer when its window of iterations is full.

        Returns:
            Detached values to log, shape ``()``: ``"loss"`` is what was
            differentiated; a mapping's entries follow under their names.

        Raises:
            DataError: The batch is no pair of inputs and targets.
            ModelError: The loss is of the wrong form.
        """
        return self.step_through(self, self.module, data, optim_wrapper)

    def step_through(
        self,
        around: Module,
        module: Callable[[Any], Any],
        data: Batch,
        optim_wrapper: OptimizerWrapper,
        look: Callable[[Tensor], object] | None = None,
    ) -> dict[str, Tensor]:
        """Do as :meth:`train_step` does, with a wrapper in the way of the call.

        Args:
            around: What the optimizer's context is about: this, or a wrapper of it.
            module: Called with the inputs in the wrapped module's place.
            data: One batch.
            optim_wrapper: Steps the optimizer when its window of iterations is full.
            look: Called with the loss before its backward.

        Returns:
            What :meth:`train_step` does.

        Raises:
            DataError: The batch is no pair of inputs and targets.
            ModelError: The loss is of the wrong form.
        """
        with optim_wrapper.optim_context(around):
            inputs, targets = self.split(data)
            loss, values = parse_losses(self.loss(module(inputs), targets))
            if look is not None:
                look(loss)
            optim_wrapper.update_params(loss)
        return values

    def val_step(self, data: Batch) -> list[dict[str, Any]]:
        """Run forward on one batch; the caller has seen to ``eval`` and ``no_grad``.

        Args:
            data: One batch.

        Returns:
            A list of one element for the whole batch, ``{"outputs": what the module
            returned, "targets": the targets}``: a metric's ``process`` finds both in
            ``data_samples[0]``.

        Raises:
            DataError: The batch is no pair of inputs and targets.
        """
        inputs, targets = self.split(data)
        return [{"outputs": self.module(inputs), "targets": targets}]

    def test_step(self, data: Batch) -> list[dict[str, Any]]:
        """Do as :meth:`val_step` does."""
        return self.val_step(data)

    def split(self, data: Batch) -> tuple[Any, Any]:
        """Inputs and targets of a batch, on the module's device.

        Args:
            data: One batch.

        Raises:
            DataError: It is no pair of inputs and targets.
        """
        pair = data if self.preprocess is None else self.preprocess(data)
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:  # noqa: PLR2004 - a pair
            raise DataError(_no_pair(pair, given=self.preprocess is None))
        inputs, targets = pair
        device = device_of(self.module)
        if device is None:
            return inputs, targets
        return to_device(inputs, device), to_device(targets, device)


def _no_pair(found: Any, *, given: bool) -> str:
    """What to say of something that is no pair of inputs and targets."""
    kind = a_type(found)
    if isinstance(found, Mapping):
        kind += f" with the keys {', '.join(map(repr, found))}"
    elif isinstance(found, (list, tuple)):
        kind += f" of {len(found)}"
    elif isinstance(found, Tensor):
        kind += f" of shape {tuple(found.shape)}"
    if given:
        return (
            f"StepModel: the batch is {kind}, but a list or tuple of inputs and "
            "targets is needed. Make the loader give that, or pass preprocess=..., a "
            'function such as lambda batch: (batch["image"], batch["label"]).'
        )
    return (
        f"StepModel: preprocess returned {kind}, but inputs and targets are needed. "
        "Return a tuple of the two; None stands for targets that there are not."
    )
