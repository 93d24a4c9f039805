"""What initialisers of layers have in common: which layers, and which bias."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ConfigError
from engine.model.initializers.account import update_init_info
from engine.model.initializers.functions import bias_init_with_prob

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.nn import Module

__all__ = ["BaseInit"]


class BaseInit:
    """Initialises the chosen layers of a module.

    A subclass says in :meth:`init_layer` how one layer begins.

    Args:
        bias: For biases.
        bias_prob: Sets ``bias`` so that a sigmoid begins with this probability.
        layer: Names of classes, such as ``"Conv2d"``: layers of these, and of classes
            that derive from one directly, are initialised. ``None``: none are, unless
            ``wholemodule`` is set.

    Attributes:
        wholemodule: Whether all layers count; an ``override`` sets it.

    Raises:
        ConfigError: An argument is of another type.
    """

    def __init__(
        self,
        *,
        bias: float = 0,
        bias_prob: float | None = None,
        layer: str | Sequence[str] | None = None,
    ) -> None:
        name = type(self).__name__
        if not isinstance(bias, (int, float)):
            msg = f"{name}: bias is {bias!r}, but a number is needed."
            raise ConfigError(msg)
        if bias_prob is not None and not isinstance(bias_prob, float):
            msg = f"{name}: bias_prob is {bias_prob!r}, but a float is needed, or None."
            raise ConfigError(msg)
        layers = [layer] if isinstance(layer, str) else layer or []
        if not isinstance(layers, (list, tuple)) or any(
            not isinstance(each, str) for each in layers
        ):
            msg = (
                f"{name}: layer is {layer!r}, but the name of a class, such as "
                "'Conv2d', or a list of names is needed."
            )
            raise ConfigError(msg)
        self.wholemodule = False
        self.bias = bias if bias_prob is None else bias_init_with_prob(bias_prob)
        self.bias_prob = bias_prob
        self.layer = list(layers)

    def init_layer(self, layer: Module) -> None:
        """Set one layer's own parameters in place.

        Args:
            layer: A chosen one, or with ``wholemodule`` any module.
        """
        raise NotImplementedError

    def __call__(self, module: Module) -> None:
        """Initialise the chosen layers among ``module`` and all below it.

        Args:
            module: Its parameters are set in place.
        """
        # Children before their parents, as torch's apply goes: it fixes the draws.
        module.apply(self._init_if_chosen)
        if hasattr(module, "_params_init_info"):
            update_init_info(module, init_info=self._get_init_info())

    def _init_if_chosen(self, layer: Module) -> None:
        kinds = (type(layer), *type(layer).__bases__)
        if self.wholemodule or any(kind.__name__ in self.layer for kind in kinds):
            self.init_layer(layer)

    def _get_init_info(self) -> str:
        """What the account says; users' initialisers override it under this name."""
        settings = ", ".join(
            f"{name}={value!r}"
            for name, value in vars(self).items()
            if name not in {"wholemodule", "bias_prob", "layer"}
        )
        return f"{type(self).__name__}({settings})"
