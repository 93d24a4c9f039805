"""How weights begin: functions for one module, initialisers for a tree of them."""

from __future__ import annotations

from engine.model.initializers.account import (
    update_init_info,
)
from engine.model.initializers.functions import (
    bias_init_with_prob,
    caffe2_xavier_init,
    constant_init,
    kaiming_init,
    normal_init,
    trunc_normal_init,
    uniform_init,
    xavier_init,
)
from engine.model.initializers.initialize import (
    initialize,
)
from engine.model.initializers.initializer import BaseInit
from engine.model.initializers.pretrained import PretrainedInit
from engine.model.initializers.schemes import (
    Caffe2XavierInit,
    ConstantInit,
    KaimingInit,
    NormalInit,
    TruncNormalInit,
    UniformInit,
    XavierInit,
)

__all__ = [
    "BaseInit",
    "Caffe2XavierInit",
    "ConstantInit",
    "KaimingInit",
    "NormalInit",
    "PretrainedInit",
    "TruncNormalInit",
    "UniformInit",
    "XavierInit",
    "bias_init_with_prob",
    "caffe2_xavier_init",
    "constant_init",
    "initialize",
    "kaiming_init",
    "normal_init",
    "trunc_normal_init",
    "uniform_init",
    "update_init_info",
    "xavier_init",
]
