"""Which initialiser set which parameter last.

While the outermost module initialises, every module below it has the same account, an
attribute called ``_params_init_info`` as users of MMEngine know it. It maps a parameter
to ``{"init_info": text, "tmp_mean_value": mean}``; who has set values calls
:func:`update_init_info`, which finds by the means what has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.parameter import is_lazy

from engine.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

__all__ = ["start_account", "stop_account", "update_init_info"]

_ACCOUNT = "_params_init_info"


def update_init_info(module: Module, init_info: str) -> None:
    """Note what has changed the module's parameters.

    Args:
        module: Takes part in an ``init_weights``, so has an account. Parameters whose
            mean is as it was are left out.
        init_info: What has set the values, for people.

    Raises:
        ModelError: There is no account, or a parameter is not in it.
    """
    account = getattr(module, _ACCOUNT, None)
    if account is None:
        msg = (
            f"update_init_info: {type(module).__name__} keeps no account. Call it from "
            "an init_weights that the outermost BaseModule's has called."
        )
        raise ModelError(msg)
    for name, parameter in module.named_parameters():
        known = account.get(parameter)
        if known is None:
            msg = (
                f"update_init_info: {name!r} of {type(module).__name__} was no "
                "parameter of the model when its init_weights began. Make parameters "
                "in __init__."
            )
            raise ModelError(msg)
        mean = _mean(parameter)
        if mean != known["tmp_mean_value"]:
            known.update(init_info=init_info, tmp_mean_value=mean)


def start_account(module: Module) -> bool:
    """Give ``module`` and all below it one account, unless it takes part in one.

    Returns:
        Whether an account was opened; who opened it closes it.
    """
    if hasattr(module, _ACCOUNT):
        return False
    account: dict[Tensor, dict[str, Any]] = {
        parameter: {
            "init_info": f"as {type(module).__name__} was built",
            "tmp_mean_value": _mean(parameter),
        }
        for parameter in module.parameters()
    }
    for each in module.modules():
        setattr(each, _ACCOUNT, account)
    return True


def stop_account(module: Module) -> dict[str, str]:
    """Take the account away again.

    Returns:
        Each parameter's name and what set its values last.
    """
    account = getattr(module, _ACCOUNT)
    for each in module.modules():
        vars(each).pop(_ACCOUNT, None)
    return {
        name: account[parameter]["init_info"]
        for name, parameter in module.named_parameters()
        if parameter in account
    }


def _mean(parameter: Tensor) -> float:
    """The mean of the values: what a change of them is seen by."""
    if is_lazy(parameter) or parameter.is_meta or parameter.numel() == 0:
        return 0.0
    values = parameter.detach()
    values = torch.view_as_real(values) if values.is_complex() else values
    return float(values.float().mean())
