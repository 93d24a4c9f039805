"""Which learning rate and weight decay each parameter gets, as a pure function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from engine.errors import OptimizerError, a_type, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch.nn import Module, Parameter

__all__ = ["PARAMWISE_KEYS", "check_paramwise_cfg", "group_settings"]

PARAMWISE_KEYS = (
    "custom_keys",
    "bias_lr_mult",
    "bias_decay_mult",
    "norm_decay_mult",
    "dwconv_decay_mult",
    "flat_decay_mult",
    "bypass_duplicate",
)
"""What ``paramwise_cfg`` may have."""
_CUSTOM = ("lr_mult", "decay_mult")
_NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm)


def group_settings(
    paramwise_cfg: Mapping[str, Any],
    module: Module,
    parameter: Parameter,
    *,
    path: str,
    lr: float | None,
    weight_decay: float | None,
) -> dict[str, Any]:
    """The settings of one parameter that differ from the optimizer's.

    A key of ``custom_keys`` that is part of the parameter's path decides alone; of
    several the longest does, and of those the first in the alphabet.

    Args:
        paramwise_cfg: Checked by :func:`check_paramwise_cfg`.
        module: The module that holds the parameter itself.
        parameter: The parameter, which requires grad.
        path: Its full name in the model.
        lr: The optimizer's learning rate; ``None``: it has none of its own.
        weight_decay: The optimizer's weight decay; likewise.

    Returns:
        ``lr`` and ``weight_decay``, those that a rule speaks of, and what else the
        custom key sets.

    >>> layer = nn.Linear(2, 2)
    >>> group_settings(
    ...     {"bias_lr_mult": 2.0, "custom_keys": {"head": {"lr_mult": 10.0}}},
    ...     layer,
    ...     layer.bias,
    ...     path="body.bias",
    ...     lr=0.1,
    ...     weight_decay=None,
    ... )
    {'lr': 0.2}
    """
    custom = paramwise_cfg.get("custom_keys") or {}
    for key in sorted(custom, key=lambda one: (-len(one), one)):
        if key in path:
            rules = dict(custom[key])
            mults = rules.pop("lr_mult", 1.0), rules.pop("decay_mult", 1.0)
            return {**_scaled(lr, mults[0], weight_decay, mults[1]), **rules}
    name = path.rpartition(".")[2]
    norm = isinstance(module, _NORMS)
    bias = name == "bias"
    lr_mult = paramwise_cfg.get("bias_lr_mult") if bias and not norm else None
    return _scaled(
        lr, lr_mult, weight_decay, _decay_mult(paramwise_cfg, module, parameter, bias)
    )


def _decay_mult(
    paramwise_cfg: Mapping[str, Any], module: Module, parameter: Parameter, bias: bool
) -> float | None:
    """What a parameter's weight decay is multiplied by; the first rule that fits."""
    depthwise = isinstance(module, nn.Conv2d) and module.in_channels == module.groups
    rules = (
        ("norm_decay_mult", isinstance(module, _NORMS)),
        ("bias_decay_mult", bias),
        ("dwconv_decay_mult", depthwise),
        ("flat_decay_mult", parameter.ndim == 1),
    )
    for rule, fits in rules:
        if fits and paramwise_cfg.get(rule) is not None:
            mult: float = paramwise_cfg[rule]
            return mult
    return None


def _scaled(
    lr: float | None,
    lr_mult: float | None,
    weight_decay: float | None,
    decay_mult: float | None,
) -> dict[str, float]:
    found = {}
    if lr is not None and lr_mult is not None:
        found["lr"] = lr * lr_mult
    if weight_decay is not None and decay_mult is not None:
        found["weight_decay"] = weight_decay * decay_mult
    return found


def check_paramwise_cfg(
    paramwise_cfg: Mapping[str, Any],
    *,
    names: Collection[str],
    settings: Collection[str],
    has_lr: bool,
    has_decay: bool,
) -> None:
    """Raise an error for settings that cannot be meant.

    Args:
        paramwise_cfg: What was given.
        names: Full names of the model's parameters.
        settings: What a group of the optimizer may have beside, as ``"betas"``.
        has_lr: Whether the optimizer was given a learning rate to multiply.
        has_decay: Whether it was given a weight decay.

    Raises:
        OptimizerError: A key is unknown, a value is of the wrong kind, a custom key
            fits no parameter, or there is nothing to multiply.
    """
    if not isinstance(paramwise_cfg, Mapping):
        msg = f"paramwise_cfg is {a_type(paramwise_cfg)}, but it is a mapping of rules."
        raise OptimizerError(msg)
    _check_keys("paramwise_cfg", paramwise_cfg, PARAMWISE_KEYS)
    custom = paramwise_cfg.get("custom_keys") or {}
    if not isinstance(custom, Mapping):
        msg = (
            f"paramwise_cfg: custom_keys is {a_type(custom)}, but it is a mapping such "
            "as {'backbone': {'lr_mult': 0.1}}."
        )
        raise OptimizerError(msg)
    _check_factors("paramwise_cfg", paramwise_cfg)
    for key, rules in custom.items():
        if not isinstance(rules, Mapping):
            msg = (
                f"paramwise_cfg: custom_keys[{key!r}] is {a_type(rules)}, but it is a "
                "mapping with lr_mult, decay_mult, or both."
            )
            raise OptimizerError(msg)
        allowed = (*_CUSTOM, *settings)
        _check_keys(f"paramwise_cfg: custom_keys[{key!r}]", rules, allowed)
        _check_factors(f"paramwise_cfg: custom_keys[{key!r}]", rules)
        if not any(key in name for name in names):
            msg = (
                f"paramwise_cfg: no parameter's name contains {key!r}."
                f"{did_you_mean(key, _words(names))} The model's names begin with "
                f"{sorted({name.partition('.')[0] for name in names})}."
            )
            raise OptimizerError(msg)
    for kind, setting, words, has in (
        ("lr_mult", "lr", "learning rate", has_lr),
        ("decay_mult", "weight_decay", "weight decay", has_decay),
    ):
        named = [key for key in paramwise_cfg if key.endswith(f"_{kind}")]
        named += [key for key, rules in custom.items() if kind in rules]
        if named and not has:
            msg = (
                f"paramwise_cfg: {named[0]!r} multiplies the {words}, but the "
                f"optimizer was given none. Give it {setting}, or drop the rule."
            )
            raise OptimizerError(msg)


def _check_keys(where: str, found: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    for key in found:
        if key not in allowed:
            msg = (
                f"{where}: unknown key {key!r}.{did_you_mean(str(key), allowed)} "
                f"Allowed are {', '.join(allowed)}."
            )
            raise OptimizerError(msg)


def _check_factors(where: str, found: Mapping[str, Any]) -> None:
    for key, value in found.items():
        if key.endswith("_mult") and not isinstance(value, int | float | None):
            msg = f"{where}: {key} is {value!r}, but it is a number to multiply with."
            raise OptimizerError(msg)


def _words(names: Collection[str]) -> set[str]:
    return {word for name in names for word in name.split(".")}
