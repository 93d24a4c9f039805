"""The whole model on each rank, gradients averaged over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from engine.dist import control_group, get_world_size, is_distributed
from engine.errors import ConfigError, a_type, check_switch
from engine.model import convert_sync_batchnorm, is_model_wrapper
from engine.registry import MODEL_WRAPPERS, STRATEGIES
from engine.strategies.compression import Compression
from engine.strategies.single import SingleStrategy

if TYPE_CHECKING:
    from torch.nn import Module

    from engine.typing import Stateful

__all__ = ["DDPStrategy"]

_DEFAULT = "MMDistributedDataParallel"


@STRATEGIES.register_module(name=["DDPStrategy", "ddp"])
class DDPStrategy(SingleStrategy):
    """torch's ``DistributedDataParallel``; without a process group, one process.

    Args:
        wrapper: Spec of the wrapper, which gets the model as ``module``, or its name:
            ``MMDistributedDataParallel``, ``MMSeparateDistributedDataParallel`` or one
            of your own. Without a process group it is not made.
        sync_bn: ``"torch"`` turns BatchNorm into SyncBatchNorm, whose statistics are
            of all ranks' samples.
        broadcast_buffers: Whether each iteration begins with rank 0's buffers.
        find_unused_parameters: Whether a loss need not depend on every parameter.
        gradient_compression: ``"fp16"`` or ``"bf16"`` sends gradients in half the
            bits; ``"powersgd"``, or a mapping with this ``type`` and arguments of
            torch's ``PowerSGDState``, sends approximations of low rank.
        kwargs: More arguments of the wrapper, as ``bucket_cap_mb``, ``static_graph``
            or ``gradient_as_bucket_view``.

    Raises:
        ConfigError: A setting is none of these.
    """

    def __init__(
        self,
        wrapper: Mapping[str, Any] | str | None = None,
        *,
        sync_bn: str | None = None,
        broadcast_buffers: bool = False,
        find_unused_parameters: bool = False,
        gradient_compression: Mapping[str, Any] | str | None = None,
        **kwargs: Any,
    ) -> None:
        check_switch("find_unused_parameters", find_unused_parameters)
        check_switch("broadcast_buffers", broadcast_buffers)
        if sync_bn not in (None, "torch"):
            message = f"sync_bn={sync_bn!r}: give 'torch', or leave it out"
            raise ConfigError(message)
        if wrapper is not None and not isinstance(wrapper, Mapping | str):
            message = f"expected a spec of a wrapper, found {a_type(wrapper)}"
            raise ConfigError(message)
        self._wrapper = {"type": wrapper} if isinstance(wrapper, str) else wrapper
        self._sync_bn = sync_bn
        self._compression = Compression.read(gradient_compression)
        self._settings = {
            "broadcast_buffers": broadcast_buffers,
            "find_unused_parameters": find_unused_parameters,
            **kwargs,
        }

    @property
    def memory(self) -> Stateful | None:
        """What compression has left out so far, if it adds that later."""
        return None if self._compression is None else self._compression.memory

    def wrap(self, model: Module) -> Module:
        """The model in its wrapper.

        Args:
            model: On its device. One that is wrapped already stays as it is.

        Raises:
            ConfigError: It is wrapped already, and a wrapper is asked for.
        """
        if is_model_wrapper(model):
            if self._wrapper is not None:
                message = (
                    f"the model is {a_type(model)} already: drop "
                    "model_wrapper_cfg, or give the model without its wrapper"
                )
                raise ConfigError(message)
            return model
        spec = self._spec(model)
        if not is_distributed() or (get_world_size() == 1 and self._wrapper is None):
            if isinstance(spec["type"], str):
                MODEL_WRAPPERS.get(spec["type"])  # a wrong name shows here too
            return super().wrap(model)
        if self._sync_bn is not None:
            if any(one.device.type == "cpu" for one in model.parameters()):
                message = (
                    "sync_bn='torch': SyncBatchNorm works on GPUs alone, and the model "
                    "is on the CPU: drop sync_bn there"
                )
                raise ConfigError(message)
            model = convert_sync_batchnorm(model, self._sync_bn)
        wrapped: Module = MODEL_WRAPPERS.build(spec, module=model)
        if self._compression is not None:
            self._compression.apply(wrapped)
        return wrapped

    def _spec(self, model: Module) -> dict[str, Any]:
        if self._wrapper is not None:  # its own defaults are another matter
            given = {k: v for k, v in self._settings.items() if v is not False}
            return {"type": _DEFAULT, **given, **self._wrapper}
        places = [one.device for one in model.parameters()][:1]
        cuda = bool(places) and places[0].type == "cuda"
        device_ids = places if cuda else None
        return {"type": _DEFAULT, "device_ids": device_ids, **self._settings}

    @contextmanager
    def initializing(self, model: Module) -> Iterator[None]:
        """Afterwards all ranks have the weights and buffers of rank 0.

        Args:
            model: What :meth:`wrap` returned.
        """
        yield
        if isinstance(model, DistributedDataParallel):
            share_from_first(model)


def share_from_first(model: Module) -> None:
    """Give all ranks the parameters and buffers that rank 0 has."""
    for tensor in [*model.parameters(), *model.buffers()]:
        # What is in the host's memory cannot go over NCCL.
        group = control_group() if tensor.device.type == "cpu" else None
        distributed.broadcast(tensor.detach(), src=0, group=group)
