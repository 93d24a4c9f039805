"""From specs to initialised weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, ModelError, did_you_mean
from engine.model.initializers.initializer import BaseInit
from engine.model.initializers.pretrained import PretrainedInit
from engine.registry import WEIGHT_INITIALIZERS

if TYPE_CHECKING:
    from torch.nn import Module

    from engine.typing import Spec

__all__ = ["initialize", "is_pretrained", "read_init_cfg"]


def initialize(module: Module, init_cfg: Spec | list[Spec]) -> None:
    """Initialise a module's weights as specs say, one after the other.

    A spec names an initialiser and the classes of layers that it is for. Parts of the
    module that should begin otherwise stand in ``override``: a mapping, or a list of
    them, with the part's ``name``, and its own ``type`` and arguments; with nothing
    beside the name the spec's own count. All layers of a part are initialised.

    Args:
        module: Its parameters are set in place, drawn from torch's global generator.
        init_cfg: One spec, or a list. They are not changed.

    Raises:
        ConfigError: It is no spec, or one that does not fit its initialiser; an
            ``override`` has no ``name``, or arguments without ``type``.
        ModelError: ``override`` names a part that the module lacks.

    >>> from torch import nn
    >>> net = nn.ModuleDict({"body": nn.Linear(1, 1), "head": nn.Linear(1, 1)})
    >>> head = {"type": "Constant", "name": "head", "val": 3.0}
    >>> initialize(
    ...     net, {"type": "Constant", "val": 1.0, "layer": "Linear", "override": head}
    ... )
    >>> net["body"].weight.item(), net["head"].weight.item()
    (1.0, 3.0)
    """
    for spec in read_init_cfg(init_cfg, where="initialize"):
        own = {key: value for key, value in spec.items() if key != "override"}
        override = spec.get("override")
        initializer = WEIGHT_INITIALIZERS.build(own)
        if isinstance(initializer, BaseInit) and not (initializer.layer or override):
            warnings.warn(
                f"init_cfg={dict(spec)} initialises nothing: it names neither a layer "
                "nor an override",
                stacklevel=2,
            )
        initializer(module)
        if override is not None:
            _override(module, override, own)


def read_init_cfg(init_cfg: Any, *, where: str) -> list[Spec]:
    """The specs of an ``init_cfg``.

    Args:
        init_cfg: ``None``, one spec, or a list of them.
        where: Starts the message.

    Raises:
        ConfigError: It is something else.

    >>> read_init_cfg({"type": "Constant", "val": 1}, where="Net")
    [{'type': 'Constant', 'val': 1}]
    """
    specs = init_cfg
    if init_cfg is None:
        specs = []
    elif isinstance(init_cfg, Mapping):
        specs = [init_cfg]
    if isinstance(specs, (list, tuple)):
        wrong = [spec for spec in specs if not isinstance(spec, Mapping)]
        if not wrong:
            return list(specs)
        init_cfg = wrong[0]
    msg = (
        f"{where}: init_cfg has {init_cfg!r}, but it is one mapping with 'type', or a "
        "list of them, such as {'type': 'Kaiming', 'layer': 'Conv2d'}."
    )
    raise ConfigError(msg)


def is_pretrained(spec: Spec) -> bool:
    """Whether a spec loads weights, which then win over those of the children.

    >>> is_pretrained({"type": "Pretrained", "checkpoint": "a.pth"})
    True
    """
    kind = spec.get("type")
    if isinstance(kind, str):
        kind = WEIGHT_INITIALIZERS.find(kind)
    return isinstance(kind, type) and issubclass(kind, PretrainedInit)


def _override(module: Module, override: Any, own: Mapping[str, Any]) -> None:
    """Initialise the parts that a spec's ``override`` names."""
    parts = dict(module.named_modules(remove_duplicate=False))
    del parts[""]
    for each in read_init_cfg(override, where="override"):
        spec = {key: value for key, value in each.items() if key != "name"}
        name = each.get("name")
        if name is None:
            msg = (
                f"override={each!r} has no 'name'. Add the name of the part that it "
                "is for."
            )
            raise ConfigError(msg)
        if spec and "type" not in spec:
            msg = (
                f"override of {name!r} has {', '.join(map(repr, spec))} but no 'type'. "
                "Add it, or leave only the name to use the type beside the override."
            )
            raise ConfigError(msg)
        part = parts.get(name)
        if part is None:
            msg = (
                f"override: {type(module).__name__} has no part {name!r}."
                f"{did_you_mean(name, parts)} It has {', '.join(parts) or 'none'}."
            )
            raise ModelError(msg)
        initializer = WEIGHT_INITIALIZERS.build(spec or own)
        initializer.wholemodule = True
        initializer(part)
