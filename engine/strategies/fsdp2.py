"""Parameters, gradients and optimizer state cut over ranks: torch's ``fully_shard``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed

from engine.checkpoint import MeshLayout, divide
from engine.errors import ConfigError, a_type, check_switch
from engine.model import is_model_wrapper, turn_on_activation_checkpointing
from engine.registry import STRATEGIES
from engine.strategies.chosen_modules import choose_modules, roots
from engine.strategies.ddp import share_from_first
from engine.strategies.drawn_whole import drawn_whole
from engine.strategies.from_meta import check_has_values, make_values
from engine.strategies.single import SingleStrategy
from engine.strategies.spread import spread_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.distributed.fsdp import MixedPrecisionPolicy, OffloadPolicy
    from torch.nn import Module

    from engine.checkpoint import Divided, Layout, Location, Store

__all__ = ["FSDP2Strategy"]


@STRATEGIES.register_module(name=["FSDP2Strategy", "fsdp2"])
class FSDP2Strategy(SingleStrategy):
    """Each rank keeps a part of each parameter, and gathers the rest where it is used.

    What is cut is chosen module by module: the parameters of a chosen module are
    gathered together when its forward begins, and let go of when it ends. Choose the
    layers that a model has many of. What is in none of them is gathered with the whole
    model.

    Ranks agree on gradients in each iteration, also inside a window of accumulation:
    whole gradients on each rank would take the memory that cutting saves, and could
    not be saved in pieces.

    Without a process group there is nobody to share with, and the model stays whole.

    Args:
        classes: Names of the classes whose modules are chosen, as ``"DecoderLayer"``
            or ``"package.module.DecoderLayer"``.
        modules: Patterns of the names of modules that are chosen, as ``"layers.*"``;
            a ``*`` stands for anything without a dot.
        min_params: Modules with at least so many parameters that are in no chosen
            module yet are chosen too, inner ones first; ``None``: none for its size.
        reshard_after_forward: Whether gathered parameters are let go of after a
            module's forward, and gathered again in backward; a number: of how many
            ranks each keeps a part meanwhile. ``None``: yes, but for the whole model's.
        param_dtype: What forward and backward compute in; ``None``: the parameters'.
        reduce_dtype: What gradients are added up in; ``None``: ``param_dtype``.
        output_dtype: What a module's outputs become; ``None``: what they are.
        cast_forward_inputs: Whether a module's inputs become ``param_dtype``.
        cpu_offload: Whether parameters, gradients and optimizer state are kept in the
            host's memory.
        activation_checkpointing: ``True``: chosen modules compute their activations
            anew in backward; names: the modules of these names do.
        meta_init: Build the model without memory, and let each rank make values for
            its part alone: by ``reset_parameters`` of the modules and by
            ``init_weights``. They do not depend on the number of ranks.
        forward_methods: Methods of the model, beside ``forward``, that its steps call
            and that use parameters.

    Raises:
        ConfigError: A setting is none of these.
    """

    def __init__(
        self,
        *,
        classes: str | Sequence[str] = (),
        modules: str | Sequence[str] = (),
        min_params: int | None = None,
        reshard_after_forward: bool | int | None = None,
        param_dtype: str | torch.dtype | None = None,
        reduce_dtype: str | torch.dtype | None = None,
        output_dtype: str | torch.dtype | None = None,
        cast_forward_inputs: bool = True,
        cpu_offload: bool = False,
        activation_checkpointing: bool | str | Sequence[str] = False,
        meta_init: bool = False,
        forward_methods: str | Sequence[str] = (),
    ) -> None:
        self._classes = _names("classes", classes)
        self._modules = _names("modules", modules)
        self._min_params = _count("min_params", min_params)
        if not isinstance(reshard_after_forward, bool):
            _count("reshard_after_forward", reshard_after_forward)
        self._reshard = reshard_after_forward
        self._param_dtype = _dtype("param_dtype", param_dtype)
        self._reduce_dtype = _dtype("reduce_dtype", reduce_dtype)
        self._output_dtype = _dtype("output_dtype", output_dtype)
        for name, value in (
            ("cast_forward_inputs", cast_forward_inputs),
            ("cpu_offload", cpu_offload),
            ("meta_init", meta_init),
        ):
            check_switch(f"FSDP2Strategy: {name}", value)
        self._cast_forward_inputs = cast_forward_inputs
        self._cpu_offload = cpu_offload
        self._recomputed: bool | tuple[str, ...] = (
            activation_checkpointing
            if isinstance(activation_checkpointing, bool)
            else _names("activation_checkpointing", activation_checkpointing)
        )
        self._meta_init = meta_init
        self._forward_methods = _names("forward_methods", forward_methods)
        self._layout: MeshLayout | None = None
        self._group: Any = None  # of the thread that saves

    @property
    def is_sharded(self) -> bool:
        """Whether there are ranks to share with."""
        return distributed.is_available() and distributed.is_initialized()

    @property
    def device(self) -> torch.device:
        """Where this rank's part of the model is."""
        return torch.device("cpu") if self._cpu_offload else super().device

    # -- the model ------------------------------------------------------------------

    def building(self) -> AbstractContextManager[Any]:
        """Without memory, under ``meta_init``."""
        if self._meta_init and self.is_sharded:
            return torch.device("meta")
        return nullcontext()

    def wrap(self, model: Module) -> Module:
        """The model itself, changed: its parameters lie over ranks.

        Args:
            model: As :meth:`building` left it. Its weights are rank 0's afterwards.

        Raises:
            ConfigError: It is in a wrapper.
            ModelError: Nothing is chosen by a name or pattern, or what is chosen
                cannot be cut.
        """
        if is_model_wrapper(model):
            message = (
                f"FSDP2Strategy: the model is in a wrapper already, {a_type(model)}: "
                "give it without"
            )
            raise ConfigError(message)
        if not self.is_sharded:
            return super().wrap(model)
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        chosen = choose_modules(
            model,
            classes=self._classes,
            patterns=self._modules,
            min_params=self._min_params,
        )
        self._recompute(model, list(chosen))
        if not self._meta_init:
            share_from_first(model)
        where = super().device.type
        mesh = init_device_mesh(where, (distributed.get_world_size(),))
        settings: dict[str, Any] = {
            "mesh": mesh,
            "reshard_after_forward": self._reshard,
            "mp_policy": self._precision(),
            "offload_policy": self._offload(),
        }
        for one in (*chosen.values(), *roots(model)):
            fully_shard(one, **settings)
        for name in self._forward_methods:
            for one in roots(model):
                if hasattr(one, name):
                    register_fsdp_forward_method(one, name)
        if self._meta_init:
            make_values(model, self.device, computes_on=super().device)
        self._layout = MeshLayout(mesh)
        self._group = distributed.new_group(backend="gloo")
        return model

    def _recompute(self, model: Module, chosen: Sequence[str]) -> None:
        names = chosen if self._recomputed is True else self._recomputed or ()
        if names:
            turn_on_activation_checkpointing(model, list(names))

    def _precision(self) -> MixedPrecisionPolicy:
        from torch.distributed.fsdp import MixedPrecisionPolicy

        return MixedPrecisionPolicy(
            param_dtype=self._param_dtype,
            reduce_dtype=self._reduce_dtype,
            output_dtype=self._output_dtype,
            cast_forward_inputs=self._cast_forward_inputs,
        )

    def _offload(self) -> OffloadPolicy:
        from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy

        if not self._cpu_offload:
            return OffloadPolicy()
        # Memory is pinned for copies to a GPU, and cannot be where there is none.
        return CPUOffloadPolicy(pin_memory=torch.cuda.is_available())

    @contextmanager
    def initializing(self, model: Module) -> Iterator[None]:
        """Draw random values whole, and keep this rank's part of them.

        Args:
            model: What :meth:`wrap` returned.

        Raises:
            ModelError: ``meta_init`` left something without values.
        """
        with drawn_whole() if self.is_sharded else nullcontext():
            yield
        if self._meta_init and self.is_sharded:
            check_has_values(model)

    # -- the step -------------------------------------------------------------------

    def no_sync(self, model: Module) -> AbstractContextManager[Any]:
        """Nothing: ranks agree in each iteration."""
        del model
        return nullcontext()

    # -- the state ------------------------------------------------------------------

    @property
    def layout(self) -> Layout | None:
        """Each rank reads its own part."""
        return self._layout

    def take_in(
        self, checkpoint: dict[str, Any], model: Module, optimizer: Any
    ) -> dict[str, Any]:
        """A checkpoint with its tensors as they lie in this run.

        Args:
            checkpoint: Of any strategy and any number of ranks; not changed.
            model: What :meth:`wrap` returned.
            optimizer: A torch optimizer, or a wrapper of one or several; ``None``:
                there is none.
        """
        del model
        if self._layout is None:
            return checkpoint
        return spread_checkpoint(checkpoint, optimizer)

    def divide(self, checkpoint: dict[str, Any]) -> Any:
        """This rank's pieces, and the rest.

        Args:
            checkpoint: As ``capture`` made it.
        """
        return divide(checkpoint) if self.is_sharded else checkpoint

    def write(self, store: Store, name: str, checkpoint: Any) -> Location:
        """Write a checkpoint from all ranks, over a group that no step uses.

        Args:
            store: Where; all ranks reach it.
            name: Its file.
            checkpoint: What :meth:`divide` gave, or a copy of it.

        Raises:
            CheckpointError: A rank could not write. All ranks raise.
        """
        if not self.is_sharded:
            return super().write(store, name, checkpoint)
        from engine.checkpoint.sharded import write_sharded

        divided: Divided = checkpoint
        return write_sharded(store, name, divided, group=self._group)


def _names(setting: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence) and all(isinstance(one, str) for one in value):
        return tuple(value)
    message = f"FSDP2Strategy: {setting}={value!r}: give a name, or a list of names"
    raise ConfigError(message)


def _count(setting: str, value: Any) -> int | None:
    if value is None or (type(value) is int and value >= 1):
        return value
    message = f"FSDP2Strategy: {setting}={value!r}: give a number of at least 1"
    raise ConfigError(message)


def _dtype(setting: str, value: Any) -> torch.dtype | None:
    found = getattr(torch, value, None) if isinstance(value, str) else value
    if found is None and value is None:
        return None
    if isinstance(found, torch.dtype) and found.is_floating_point:
        return found
    message = (
        f"FSDP2Strategy: {setting}={value!r}: give 'bfloat16', 'float16', 'float32', "
        "or leave it out"
    )
    raise ConfigError(message)
