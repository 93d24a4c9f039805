"""All of torch's optimizers, by name."""

from __future__ import annotations

import inspect

from torch import optim
from torch.optim import Optimizer

from engine.registry import OPTIMIZERS

__all__ = ["register_torch_optimizers"]


def register_torch_optimizers() -> list[str]:
    """Register each class of ``torch.optim`` in ``OPTIMIZERS`` under its name.

    A name that is taken stays with its class: a second call changes nothing, and a
    user's own ``SGD`` is not pushed aside.

    Returns:
        The names that were added, sorted; empty the second time.
    """
    classes = {
        name: value
        for name, value in vars(optim).items()
        if inspect.isclass(value)
        and issubclass(value, Optimizer)
        and value is not Optimizer
    }
    if "Adafactor" in classes:
        # MMEngine keeps the short name for another library's class.
        classes["TorchAdafactor"] = classes["Adafactor"]
    added = sorted(classes.keys() - OPTIMIZERS.module_dict.keys())
    for name in added:
        OPTIMIZERS.register_module(name=name, module=classes[name])
    return added


register_torch_optimizers()
