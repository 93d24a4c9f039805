"""Modules that know how their weights begin.

``init_weights`` of the outermost module does it all::

    init_weights()
    ├── initialize(self, init_cfg)          but for what is pretrained
    ├── child.init_weights() of each child that has it and was not initialised
    │   └── ...                             so a child's own init_cfg wins
    └── initialize(self, init_cfg)          what is pretrained: it wins over all

It goes through children that have ``init_weights``, and stops at others: torch's own
``Sequential``, ``ModuleList`` and ``ModuleDict`` hide what is in them, those here do
not.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from engine.model.initializers.account import start_account, stop_account
from engine.model.initializers.initialize import (
    initialize,
    is_pretrained,
    read_init_cfg,
)
from engine.model.wrapped import is_model_wrapper
from engine.registry import MODELS

if TYPE_CHECKING:
    from torch.nn import Module

    from engine.typing import Spec

__all__ = ["BaseModule", "ModuleDict", "ModuleList", "Sequential"]


class BaseModule(nn.Module):
    """A module whose weights are initialised from a spec, once.

    Args:
        init_cfg: One spec, or a list of them, for :func:`initialize`. It is copied.
            ``None``: the weights stay as torch made them.

    Attributes:
        init_cfg: The copy; ``None`` for none.
        init_info: After :meth:`init_weights` of the outermost module, there: each
            parameter's name and what set its values last.

    Raises:
        ConfigError: ``init_cfg`` is neither a spec nor a list of them.

    >>> line = Sequential(
    ...     nn.Linear(1, 1),
    ...     init_cfg={"type": "Constant", "val": 2.0, "layer": "Linear"},
    ... )
    >>> line.init_weights()
    >>> line[0].weight.item(), line[0].bias.item(), line.is_init
    (2.0, 0.0, True)
    """

    def __init__(self, init_cfg: Spec | list[Spec] | None = None) -> None:
        super().__init__()
        self.init_cfg = copy.deepcopy(init_cfg)
        self.init_info: dict[str, str] = {}
        self._is_init = False
        read_init_cfg(self.init_cfg, where=type(self).__name__)

    @property
    def is_init(self) -> bool:
        """Whether :meth:`init_weights` has run."""
        return self._is_init

    def init_weights(self) -> None:
        """Initialise this module's weights, then those of its children, once.

        A second call changes nothing, and is warned of.

        Raises:
            ConfigError: A spec does not fit its initialiser.
            ModelError: A spec names a part that this module lacks, or pretrained
                weights that do not fit.
        """
        if self._is_init:
            warnings.warn(
                f"{type(self).__name__}.init_weights was called again: the weights "
                "were initialised before, and stay as they are",
                stacklevel=2,
            )
            return
        outermost = start_account(self)
        try:
            specs = read_init_cfg(self.init_cfg, where=type(self).__name__)
            initialize(self, [spec for spec in specs if not is_pretrained(spec)])
            for child in self.children():
                _initialise(child)
            initialize(self, [spec for spec in specs if is_pretrained(spec)])
        finally:
            if outermost:
                self.init_info = stop_account(self)
        self._is_init = True

    def __repr__(self) -> str:
        """What torch shows, and the ``init_cfg`` if there is one."""
        shown = super().__repr__()
        return f"{shown}\ninit_cfg={self.init_cfg}" if self.init_cfg else shown


def _initialise(child: Module) -> None:
    """Let a child that can do so initialise itself, unless it has."""
    if is_model_wrapper(child) and not hasattr(child, "init_weights"):
        child = child.get_submodule("module")
    begin = getattr(child, "init_weights", None)
    if begin is not None and not getattr(child, "is_init", False):
        begin()


@MODELS.register_module()
class Sequential(BaseModule, nn.Sequential):
    """torch's ``Sequential`` with an ``init_cfg``.

    Args:
        args: Modules, or one ordered mapping of names to modules.
        init_cfg: As for :class:`BaseModule`.
    """

    def __init__(self, *args: Any, init_cfg: Spec | list[Spec] | None = None) -> None:
        BaseModule.__init__(self, init_cfg)
        named = dict(enumerate(args))
        if len(args) == 1 and isinstance(args[0], Mapping):
            named = dict(args[0])
        for name, module in named.items():
            self.add_module(str(name), module)


@MODELS.register_module()
class ModuleList(BaseModule, nn.ModuleList):
    """torch's ``ModuleList`` with an ``init_cfg``.

    Args:
        modules: The modules; ``None`` for none yet.
        init_cfg: As for :class:`BaseModule`.
    """

    def __init__(
        self,
        modules: Iterable[Module] | None = None,
        init_cfg: Spec | list[Spec] | None = None,
    ) -> None:
        BaseModule.__init__(self, init_cfg)
        self.extend(modules or ())


@MODELS.register_module()
class ModuleDict(BaseModule, nn.ModuleDict):
    """torch's ``ModuleDict`` with an ``init_cfg``.

    Args:
        modules: Names and modules, or pairs of them; ``None`` for none yet.
        init_cfg: As for :class:`BaseModule`.
    """

    def __init__(
        self,
        modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None,
        init_cfg: Spec | list[Spec] | None = None,
    ) -> None:
        BaseModule.__init__(self, init_cfg)
        self.update(dict(modules or {}))
