"""Set the weight and the bias of one module.

Each draws from torch's global generator, writes in place, and leaves out what the
module does not have (a layer without bias, a norm without weight).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from torch import Tensor, no_grad
from torch.nn import init

from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.nn import Module
    from torch.nn.init import _NonlinearityType

__all__ = [
    "Distribution",
    "FanMode",
    "bias_init_with_prob",
    "caffe2_xavier_init",
    "constant_init",
    "kaiming_init",
    "normal_init",
    "trunc_normal_init",
    "uniform_init",
    "xavier_init",
]

Distribution: TypeAlias = Literal["normal", "uniform"]
FanMode: TypeAlias = Literal["fan_in", "fan_out"]


def constant_init(module: Module, val: float, bias: float = 0) -> None:
    """Set all weights to ``val`` and all biases to ``bias``.

    Args:
        module: Its ``weight`` and ``bias`` are set.
        val: For the weight.
        bias: For the bias.
    """
    _set(module, lambda weight: init.constant_(weight, val), bias)


def xavier_init(
    module: Module,
    gain: float = 1,
    bias: float = 0,
    distribution: Distribution = "normal",
) -> None:
    """Draw weights so that variance is kept in both directions.

    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (AISTATS 2010).

    Args:
        module: Its ``weight``, of at least two dimensions, and ``bias`` are set.
        gain: Factor on the standard deviation.
        bias: For the bias.
        distribution: ``"normal"`` or ``"uniform"``.

    Raises:
        ConfigError: ``distribution`` is another one.
    """
    _check_distribution(distribution, where="xavier_init")
    draw = init.xavier_uniform_ if distribution == "uniform" else init.xavier_normal_
    _set(module, lambda weight: draw(weight, gain=gain), bias)


def normal_init(
    module: Module, mean: float = 0, std: float = 1, bias: float = 0
) -> None:
    """Draw weights from a normal distribution.

    Args:
        module: Its ``weight`` and ``bias`` are set.
        mean: Of the distribution.
        std: Its standard deviation.
        bias: For the bias.
    """
    _set(module, lambda weight: init.normal_(weight, mean, std), bias)


def trunc_normal_init(
    module: Module,
    mean: float = 0,
    std: float = 1,
    a: float = -2,
    b: float = 2,
    bias: float = 0,
) -> None:
    """Draw weights from a normal distribution without its tails.

    Each is the inverse of the distribution function at a uniform draw: the same draws
    as MMEngine's, one for each weight; torch's own function draws in another way.

    Args:
        module: Its ``weight`` and ``bias`` are set.
        mean: Of the distribution before the cut.
        std: Its standard deviation.
        a: Smallest value, in the weight's unit (not in ``std``).
        b: Largest value, in the weight's unit.
        bias: For the bias.

    Raises:
        ConfigError: ``std`` is not above 0, or ``b`` not above ``a``.
    """
    if not (std > 0 and a < b):
        msg = (
            f"trunc_normal_init: std is {std!r}, a {a!r} and b {b!r}, but std is above "
            "0 and values lie between a and a greater b."
        )
        raise ConfigError(msg)
    _set(module, lambda weight: _trunc_normal(weight, mean, std, a, b), bias)


def uniform_init(module: Module, a: float = 0, b: float = 1, bias: float = 0) -> None:
    """Draw weights from a uniform distribution.

    Args:
        module: Its ``weight`` and ``bias`` are set.
        a: Smallest value.
        b: Largest value.
        bias: For the bias.
    """
    _set(module, lambda weight: init.uniform_(weight, a, b), bias)


def kaiming_init(
    module: Module,
    a: float = 0,
    mode: FanMode = "fan_out",
    nonlinearity: str = "relu",
    bias: float = 0,
    distribution: Distribution = "normal",
) -> None:
    """Draw weights so that variance is kept behind a rectifier.

    He et al., "Delving Deep into Rectifiers" (arXiv:1502.01852).

    Args:
        module: Its ``weight``, of at least two dimensions, and ``bias`` are set.
        a: Slope of the rectifier below zero; counts for ``"leaky_relu"`` only.
        mode: ``"fan_in"`` keeps variance forward, ``"fan_out"`` backward.
        nonlinearity: A name that :func:`torch.nn.init.calculate_gain` knows.
        bias: For the bias.
        distribution: ``"normal"`` or ``"uniform"``.

    Raises:
        ConfigError: ``distribution`` is another one.
    """
    _check_distribution(distribution, where="kaiming_init")
    draw = init.kaiming_uniform_ if distribution == "uniform" else init.kaiming_normal_
    gate = cast("_NonlinearityType", nonlinearity)
    _set(module, lambda w: draw(w, a=a, mode=mode, nonlinearity=gate), bias)


def caffe2_xavier_init(module: Module, bias: float = 0) -> None:
    """Draw weights as Caffe2's ``XavierFill`` does.

    Args:
        module: Its ``weight``, of at least two dimensions, and ``bias`` are set.
        bias: For the bias.
    """
    # Caffe2 divides by the fan-in alone, which is Kaiming's rule at slope 1.
    kaiming_init(
        module,
        a=1,
        mode="fan_in",
        nonlinearity="leaky_relu",
        bias=bias,
        distribution="uniform",
    )


def bias_init_with_prob(prior_prob: float) -> float:
    """The bias behind which a sigmoid gives ``prior_prob``.

    Args:
        prior_prob: Between 0 and 1, both excluded.

    Raises:
        ConfigError: It is not between them.

    >>> round(bias_init_with_prob(0.01), 4)
    -4.5951
    """
    if not 0 < prior_prob < 1:
        msg = (
            f"bias_init_with_prob: prior_prob is {prior_prob!r}, but a probability "
            "between 0 and 1 is needed; at both ends the bias is infinite."
        )
        raise ConfigError(msg)
    return -math.log((1 - prior_prob) / prior_prob)


@no_grad()
def _trunc_normal(weight: Tensor, mean: float, std: float, a: float, b: float) -> None:
    scale = std * math.sqrt(2)
    low, high = math.erf((a - mean) / scale), math.erf((b - mean) / scale)
    weight.uniform_(low, high).erfinv_().mul_(scale).add_(mean).clamp_(a, b)


def _set(module: Module, draw: Callable[[Tensor], object], bias: float) -> None:
    """Let ``draw`` fill the weight, and fill the bias."""
    weight, own_bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if isinstance(weight, Tensor):
        draw(weight)
    if isinstance(own_bias, Tensor):
        init.constant_(own_bias, bias)


def _check_distribution(found: str, *, where: str) -> None:
    if found not in {"normal", "uniform"}:
        msg = f"{where}: distribution is {found!r}. Take 'normal' or 'uniform'."
        raise ConfigError(msg)
