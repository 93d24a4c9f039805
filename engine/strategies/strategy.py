"""How a model lies on ranks: what a run asks, and nothing that depends on the answer.

::

    build      with strategy.building(): the model, from its spec
    wrap       model = strategy.wrap(model): the one that trains
    init       with strategy.initializing(model): model.init_weights()
    train      model.train_step(...); optim_wrapper.optim_context(model) -> no_sync
    save       strategy.write(store, name, strategy.divide(checkpoint))
    resume     checkpoint = read(file, layout=strategy.layout)
               checkpoint = strategy.take_in(checkpoint, model, optimizer)
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from engine.checkpoint import map_leaves
from engine.optim import clip_grad_norm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch.nn import Module

    from engine.checkpoint import Layout, Location, Store
    from engine.typing import Stateful

__all__ = ["Strategy"]


class Strategy:
    """How a model lies on ranks; a base for users' own.

    A strategy of one's own is registered in ``STRATEGIES``, derives from this, and
    overrides :meth:`wrap`; what else is to be overridden depends on whether its tensors
    lie over ranks. Each method is called on every rank, in the same order.
    """

    @property
    def is_sharded(self) -> bool:
        """Whether tensors lie over ranks, so that all of them write a checkpoint."""
        return False

    @property
    def device(self) -> torch.device:
        """Where this rank's part of the model is."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def memory(self) -> Stateful | None:
        """What it remembers from step to step, beside the model; ``None``: nothing."""
        return None

    # -- the model ------------------------------------------------------------------

    def building(self) -> AbstractContextManager[Any]:
        """What a model is built in from its spec."""
        return nullcontext()

    def wrap(self, model: Module) -> Module:
        """Turn a built model into the one that trains.

        Args:
            model: On :attr:`device`, or as :meth:`building` left it. It may be changed.

        Raises:
            ConfigError: The settings do not fit it, or it is wrapped already.
            ModelError: The model cannot be laid on ranks in this way.
        """
        return model

    def initializing(self, model: Module) -> AbstractContextManager[Any]:
        """What ``init_weights()`` runs in; afterwards all ranks have its result.

        Args:
            model: What :meth:`wrap` returned.
        """
        del model
        return nullcontext()

    # -- the step -------------------------------------------------------------------

    def no_sync(self, model: Module) -> AbstractContextManager[Any]:
        """What an iteration runs in whose gradients ranks need not agree on yet.

        Args:
            model: What :meth:`wrap` returned.
        """
        own = getattr(model, "no_sync", None)
        found: AbstractContextManager[Any] = nullcontext() if own is None else own()
        return found

    def clip_grad_norm(
        self,
        parameters: Iterable[torch.Tensor],
        max_norm: float,
        norm_type: float = 2.0,
    ) -> torch.Tensor:
        """Scale gradients down to a norm, that of the whole model on all ranks.

        Args:
            parameters: Those of all gradients.
            max_norm: The longest that is left as it is.
            norm_type: Order of the norm; ``inf`` for the largest.

        Returns:
            The norm before, shape ``()``, the same on each rank.
        """
        return clip_grad_norm(parameters, max_norm, norm_type)

    # -- the state ------------------------------------------------------------------

    @property
    def layout(self) -> Layout | None:
        """How tensors that were saved in pieces are read; ``None``: whole."""
        return None

    def full_state(self, tree: Any) -> Any:
        """A state with each tensor whole, on every rank.

        Args:
            tree: Mappings, lists, tuples, tensors and plain values; not changed. What
                is not cut into pieces is taken as it is.
        """
        return map_leaves(tree, _whole)

    def take_in(
        self, checkpoint: dict[str, Any], model: Module, optimizer: Any
    ) -> dict[str, Any]:
        """A checkpoint with its tensors as they lie in this run.

        Args:
            checkpoint: As ``read(file, layout=strategy.layout)`` gave it, whoever wrote
                it on however many ranks; not changed.
            model: What :meth:`wrap` returned.
            optimizer: A torch optimizer, or a wrapper of one or several; ``None``:
                there is none.
        """
        del model, optimizer
        return checkpoint

    def divide(self, checkpoint: dict[str, Any]) -> Any:
        """What of a checkpoint this rank writes; nothing is copied.

        Args:
            checkpoint: As ``capture`` made it.
        """
        return checkpoint

    def write(self, store: Store, name: str, checkpoint: Any) -> Location:
        """Write a checkpoint; may run in a thread beside training.

        Args:
            store: Where.
            name: Its file.
            checkpoint: What :meth:`divide` gave, or a copy of it.

        Raises:
            CheckpointError: It could not be written.
        """
        return store.write(name, checkpoint)


def _whole(value: Any) -> Any:
    gather = getattr(value, "full_tensor", None)
    return value if gather is None else gather()
