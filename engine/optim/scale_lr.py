"""The learning rate for another batch size than the one it was found with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import OptimizerError, did_you_mean

__all__ = ["lr_ratio", "scale_lr"]

_KEYS = ("enable", "base_batch_size")


def lr_ratio(
    auto_scale_lr: Mapping[str, Any] | None, *, world_size: int, batch_size: int
) -> float:
    """By how much the learning rate is to be multiplied.

    The linear rule of Goyal et al., "Accurate, Large Minibatch SGD"
    (arXiv:1706.02677), section 2.1.

    Args:
        auto_scale_lr: ``enable`` (default False) and ``base_batch_size``, the samples
            of one step, over all processes, that the rate was chosen for.
        world_size: Processes.
        batch_size: Samples in a batch of one process.

    Raises:
        OptimizerError: A key is unknown, or ``base_batch_size`` is missing or below 1,
            or ``enable`` is neither True nor False.

    >>> lr_ratio({"enable": True, "base_batch_size": 64}, world_size=2, batch_size=16)
    0.5
    """
    if auto_scale_lr is None:
        return 1.0
    if not isinstance(auto_scale_lr, Mapping):
        message = (
            "auto_scale_lr: expected a mapping such as {'enable': True, "
            f"'base_batch_size': 64}}, found {auto_scale_lr!r}"
        )
        raise OptimizerError(message)
    for key in auto_scale_lr:
        if key not in _KEYS:
            message = f"auto_scale_lr: unknown key {key!r}.{did_you_mean(key, _KEYS)}"
            raise OptimizerError(message)
    enable = auto_scale_lr.get("enable", False)
    if not isinstance(enable, bool):
        message = f"auto_scale_lr: enable={enable!r}: give True or False"
        raise OptimizerError(message)
    if not enable:
        return 1.0
    base = auto_scale_lr.get("base_batch_size")
    if not isinstance(base, int) or isinstance(base, bool) or base < 1:
        message = (
            f"auto_scale_lr: base_batch_size={base!r}: give the samples of one step, "
            "over all processes, that the learning rate was chosen for"
        )
        raise OptimizerError(message)
    return world_size * batch_size / base


def scale_lr(optimizer: Any, ratio: float) -> None:
    """Multiply the learning rate of each of an optimizer's groups.

    Args:
        optimizer: An optimizer or optimizer wrapper, or several by name; their
            ``param_groups`` are changed.
        ratio: The factor.
    """
    found = optimizer.param_groups
    several = found.values() if isinstance(found, Mapping) else [found]
    for groups in several:
        for group in groups:
            group["lr"] = group["lr"] * ratio
