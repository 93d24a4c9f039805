"""Batch norm over one process or over all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from torch.nn import BatchNorm2d, Module, SyncBatchNorm
from torch.nn.modules.batchnorm import _BatchNorm

from engine.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["AnyBatchNorm", "convert_sync_batchnorm", "revert_sync_batchnorm"]


class AnyBatchNorm(BatchNorm2d, _BatchNorm):
    """Batch norm of one process for inputs of any number of axes.

    A ``SyncBatchNorm`` does not tell whether it was one of one, two or three
    dimensions. It is both of its bases by name, so specs that name either as a
    ``layer`` mean this one too.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any: the statistics are those of the second axis."""


def convert_sync_batchnorm(module: Module, implementation: str = "torch") -> Module:
    """Make each batch norm one whose statistics are those of all processes.

    Args:
        module: Its batch norms are replaced; what they hold is kept.
        implementation: ``"torch"``.

    Returns:
        ``module``, or its replacement if it is a batch norm itself.

    Raises:
        ConfigError: ``implementation`` is another one.
    """
    if implementation != "torch":
        msg = (
            f"sync_bn is {implementation!r}, but only 'torch' is there: "
            "torch.nn.SyncBatchNorm, which does what MMCV's does."
        )
        raise ConfigError(msg)
    convert: Any = SyncBatchNorm.convert_sync_batchnorm  # torch has no types here
    converted: Module = convert(module)
    return converted


def revert_sync_batchnorm(module: Module) -> Module:
    """Make each ``SyncBatchNorm`` one that works in a single process, also on CPU.

    Args:
        module: Its batch norms are replaced. Weights and buffers stay the same
            tensors, so an optimizer keeps what it steps; settings, mode and hooks
            stay too.

    Returns:
        ``module``, or its replacement if it is a ``SyncBatchNorm`` itself.
    """
    return _reverted(module, {})


def _reverted(module: Module, done: dict[Module, Module]) -> Module:
    """``module`` or its replacement; what is met again gets the same answer."""
    if module in done:
        return done[module]
    reverted = module
    if isinstance(module, SyncBatchNorm):
        reverted = AnyBatchNorm.__new__(AnyBatchNorm)
        # Both keep all that they are in these; a process group is of no use any more.
        vars(reverted).update(vars(module))
        vars(reverted).pop("process_group", None)
    done[module] = reverted
    # named_children() leaves out a child's second name.
    children = cast("dict[str, Any]", reverted._modules)  # noqa: SLF001 - no public way
    for name, child in children.items():
        if child is not None:
            children[name] = _reverted(child, done)
    return reverted
