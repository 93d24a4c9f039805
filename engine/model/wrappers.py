"""Models on several ranks: torch's wrapper with the steps that loops call.

Ranks agree on gradients because the wrapper's ``forward`` prepared them to. So a
training step here is the one of :class:`BaseModel`, with the difference that the model
is called through its wrapper.
"""

from __future__ import annotations

import warnings
from contextlib import ExitStack, contextmanager
from inspect import signature
from typing import TYPE_CHECKING, Any

from torch.nn import Module
from torch.nn.parallel import DistributedDataParallel

from engine.errors import ModelError
from engine.model.anomalous import detect_anomalous_params
from engine.model.base_model import BaseModel, call_with
from engine.model.step_model import StepModel
from engine.model.steps import require_step
from engine.model.unused import name_unused
from engine.registry import MODEL_WRAPPERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from engine.model.steps import OptimizerWrapper
    from engine.typing import Batch

__all__ = ["MMDistributedDataParallel", "MMSeparateDistributedDataParallel"]


@MODEL_WRAPPERS.register_module()
class MMDistributedDataParallel(DistributedDataParallel):
    """DDP around a :class:`BaseModel` or a :class:`StepModel`, with its three steps.

    ``train_step`` does what the model's inherited one does; a ``train_step`` that the
    model's class overrides is not called, and warned of.

    Args:
        module: The model, already on its device.
        detect_anomalous_params: Whether each step warns of the parameters that its
            loss does not depend on. Slow: for looking for a fault.
        kwargs: As for :class:`torch.nn.parallel.DistributedDataParallel`;
            ``broadcast_buffers`` serves with each version of torch, and says only
            whether iterations begin with it.
    """

    def __init__(
        self, module: Module, detect_anomalous_params: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(module, **_present_names(kwargs))
        self.detect_anomalous_params = detect_anomalous_params
        own: Any = type(module)
        bases = [one for one in (BaseModel, StepModel) if issubclass(own, one)]
        if any(own.train_step is not one.train_step for one in bases):
            warnings.warn(
                f"{type(self).__name__} does not call {own.__name__}.train_step: "
                "gradients are reduced only in a step that calls the wrapper. Override "
                f"the step in a subclass of {type(self).__name__}, or use "
                "MMSeparateDistributedDataParallel",
                stacklevel=2,
            )

    def train_step(
        self, data: Batch, optim_wrapper: OptimizerWrapper
    ) -> dict[str, Tensor]:
        """Run forward and backward on one batch, and let the optimizer step.

        Args:
            data: One batch of this rank.
            optim_wrapper: Steps the optimizer when its window of iterations is full.

        Returns:
            Detached values to log, shape ``()``, of this rank.

        Raises:
            ModelError: The model has no preprocessor or no ``parse_losses``, or what
                was returned is of the wrong form.
        """
        try:
            return self._trained(data, optim_wrapper)
        except RuntimeError as error:
            name_unused(error, self)
            raise

    def _trained(
        self, data: Batch, optim_wrapper: OptimizerWrapper
    ) -> dict[str, Tensor]:
        if isinstance(self.module, StepModel):
            look = self._look if self.detect_anomalous_params else None
            return self.module.step_through(self, self, data, optim_wrapper, look)
        preprocess, parse = self._part("data_preprocessor"), self._part("parse_losses")
        with optim_wrapper.optim_context(self):
            losses = call_with(self, preprocess(data, True), mode="loss")
        values: dict[str, Tensor]
        loss, values = parse(losses)
        if self.detect_anomalous_params:
            self._look(loss)
        optim_wrapper.update_params(loss)
        return values

    def val_step(self, data: Batch) -> Any:
        """Let the model do its ``val_step``."""
        return require_step(self.module, "val_step")(data)

    def test_step(self, data: Batch) -> Any:
        """Let the model do its ``test_step``."""
        return require_step(self.module, "test_step")(data)

    def _look(self, loss: Tensor) -> None:
        detect_anomalous_params(loss, self)

    def _part(self, name: str) -> Any:
        part = getattr(self.module, name, None)
        if callable(part):
            return part
        kind = type(self.module).__name__
        msg = (
            f"{type(self).__name__}: {kind} has no {name}, which a BaseModel has. "
            "Derive it from BaseModel; or put a plain module into torch's wrapper, and "
            "that into StepModel: StepModel(DistributedDataParallel(module), loss=...)."
        )
        raise ModelError(msg)


@MODEL_WRAPPERS.register_module()
class MMSeparateDistributedDataParallel(DistributedDataParallel):
    """Each child of a model in a DDP of its own, for models that train in turns.

    The steps are the model's own; they call its children, which reduce gradients.
    A child without parameters that want gradients stays as it is.

    Args:
        module: The model, already on its device. Its children are replaced.
        broadcast_buffers: As for DDP, for each child.
        find_unused_parameters: As for DDP, for each child.
        kwargs: More arguments of :class:`MMDistributedDataParallel`.
    """

    def __init__(
        self,
        module: Module,
        broadcast_buffers: bool = False,
        find_unused_parameters: bool = False,
        **kwargs: Any,
    ) -> None:
        # Not DDP's: nothing is reduced here, and the children do it. It is one to
        # those who ask by isinstance.
        Module.__init__(self)
        self.module = module
        for name, child in list(module.named_children()):
            if any(each.requires_grad for each in child.parameters()):
                wrapped = MMDistributedDataParallel(
                    child,
                    broadcast_buffers=broadcast_buffers,
                    find_unused_parameters=find_unused_parameters,
                    **kwargs,
                )
                module.add_module(name, wrapped)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model."""
        return self.module(*args, **kwargs)

    def train_step(self, data: Batch, optim_wrapper: Any) -> Any:
        """Let the model do its ``train_step``."""
        return require_step(self.module, "train_step")(data, optim_wrapper)

    def val_step(self, data: Batch) -> Any:
        """Let the model do its ``val_step``."""
        return require_step(self.module, "val_step")(data)

    def test_step(self, data: Batch) -> Any:
        """Let the model do its ``test_step``."""
        return require_step(self.module, "test_step")(data)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Leave gradients of all children unreduced inside."""
        with ExitStack() as stack:
            for child in self.module.children():
                if isinstance(child, DistributedDataParallel):
                    stack.enter_context(child.no_sync())
            yield

    def train(self, mode: bool = True) -> MMSeparateDistributedDataParallel:
        """Set the mode of the model and its children.

        Args:
            mode: Whether they are trained.
        """
        Module.train(self, mode)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        Module.__setstate__(self, state)  # type: ignore[no-untyped-call] # torch's


def _present_names(arguments: dict[str, Any]) -> dict[str, Any]:
    """DDP's arguments as the installed torch calls them."""
    known = signature(DistributedDataParallel.__init__).parameters
    if "broadcast_buffers" not in arguments or "forward_sync_buffers" not in known:
        return arguments
    renamed = dict(arguments)
    renamed["forward_sync_buffers"] = renamed.pop("broadcast_buffers")
    return renamed
