"""The initialisers that specs name, one for each function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.model.initializers import functions
from engine.model.initializers.initializer import BaseInit
from engine.registry import WEIGHT_INITIALIZERS

if TYPE_CHECKING:
    from torch.nn import Module

    from engine.model.initializers.functions import Distribution, FanMode

__all__ = [
    "Caffe2XavierInit",
    "ConstantInit",
    "KaimingInit",
    "NormalInit",
    "TruncNormalInit",
    "UniformInit",
    "XavierInit",
]


@WEIGHT_INITIALIZERS.register_module("Constant")
class ConstantInit(BaseInit):
    """Sets weights to one value.

    Args:
        val: For weights.
        kwargs: As for :class:`BaseInit`.
    """

    def __init__(self, val: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.val = val

    def init_layer(self, layer: Module) -> None:
        """Do as :func:`constant_init` does."""
        functions.constant_init(layer, self.val, self.bias)


@WEIGHT_INITIALIZERS.register_module("Xavier")
class XavierInit(BaseInit):
    """Draws weights so that variance is kept in both directions.

    Args:
        gain: Factor on the standard deviation.
        distribution: ``"normal"`` or ``"uniform"``.
        kwargs: As for :class:`BaseInit`.
    """

    def __init__(
        self, gain: float = 1, distribution: Distribution = "normal", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.gain = gain
        self.distribution = distribution

    def init_layer(self, layer: Module) -> None:
        """Do as :func:`xavier_init` does."""
        functions.xavier_init(layer, self.gain, self.bias, self.distribution)


@WEIGHT_INITIALIZERS.register_module("Normal")
class NormalInit(BaseInit):
    """Draws weights from a normal distribution.

    Args:
        mean: Of the distribution.
        std: Its standard deviation.
        kwargs: As for :class:`BaseInit`.
    """

    def __init__(self, mean: float = 0, std: float = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean = mean
        self.std = std

    def init_layer(self, layer: Module) -> None:
        """Do as :func:`normal_init` does."""
        functions.normal_init(layer, self.mean, self.std, self.bias)


@WEIGHT_INITIALIZERS.register_module("TruncNormal")
class TruncNormalInit(BaseInit):
    """Draws weights from a normal distribution without its tails.

    Args:
        mean: Of the distribution before the cut.
        std: Its standard deviation.
        a: Smallest value, in the weight's unit.
        b: Largest value, in the weight's unit.
        kwargs: As for :class:`BaseInit`.
    """

    def __init__(
        self,
        mean: float = 0,
        std: float = 1,
        a: float = -2,
        b: float = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mean = mean
        self.std = std
        self.a = a
        self.b = b

    def init_layer(self, layer: Module) -> None:
        """Do as :func:`trunc_normal_init` does."""
        functions.trunc_normal_init(
            layer, self.mean, self.std, self.a, self.b, self.bias
        )


@WEIGHT_INITIALIZERS.register_module("Uniform")
class UniformInit(BaseInit):
    """Draws weights from a uniform distribution.

    Args:
        a: Smallest value.
        b: Largest value.
        kwargs: As for :class:`BaseInit`.
    """

    def __init__(self, a: float = 0, b: float = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.a = a
        self.b = b

    def init_layer(self, layer: Module) -> None:
        """Do as :func:`uniform_init` does."""
        functions.uniform_init(layer, self.a, self.b, self.bias)


@WEIGHT_INITIALIZERS.register_module("Kaiming")
class KaimingInit(BaseInit):
    """Draws weights so that variance is kept behind a rectifier.

    Args:
        a: Slope of the rectifier below zero; counts for ``"leaky_relu"`` only.
        mode: ``"fan_in"`` or ``"fan_out"``.
        nonlinearity: A name that :func:`torch.nn.init.calculate_gain` knows.
        distribution: ``"normal"`` or ``"uniform"``.
        kwargs: As for :class:`BaseInit`.
    """

    def __init__(
        self,
        a: float = 0,
        mode: FanMode = "fan_out",
        nonlinearity: str = "relu",
        distribution: Distribution = "normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.a = a
        self.mode = mode
        self.nonlinearity = nonlinearity
        self.distribution = distribution

    def init_layer(self, layer: Module) -> None:
        """Do as :func:`kaiming_init` does."""
        functions.kaiming_init(
            layer, self.a, self.mode, self.nonlinearity, self.bias, self.distribution
        )


@WEIGHT_INITIALIZERS.register_module("Caffe2Xavier")
class Caffe2XavierInit(KaimingInit):
    """Draws weights as Caffe2's ``XavierFill`` does.

    Args:
        kwargs: As for :class:`BaseInit`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            a=1,
            mode="fan_in",
            nonlinearity="leaky_relu",
            distribution="uniform",
            **kwargs,
        )
