"""Models, from their first weights to what is done to a finished one."""

from __future__ import annotations

from engine.model.anomalous import detect_anomalous_params
from engine.model.averaged import (
    BaseAveragedModel,
    ExponentialMovingAverage,
    MomentumAnnealingEMA,
    StochasticWeightAverage,
)
from engine.model.base_model import BaseModel
from engine.model.base_module import BaseModule, ModuleDict, ModuleList, Sequential
from engine.model.batch_norm import convert_sync_batchnorm, revert_sync_batchnorm
from engine.model.buckets import Buckets, reduced_parameters
from engine.model.initializers import (
    BaseInit,
    Caffe2XavierInit,
    ConstantInit,
    KaimingInit,
    NormalInit,
    PretrainedInit,
    TruncNormalInit,
    UniformInit,
    XavierInit,
    bias_init_with_prob,
    caffe2_xavier_init,
    constant_init,
    initialize,
    kaiming_init,
    normal_init,
    trunc_normal_init,
    uniform_init,
    update_init_info,
    xavier_init,
)
from engine.model.preprocessor import BaseDataPreprocessor, ImgDataPreprocessor
from engine.model.stack import merge_dict, stack_batch
from engine.model.step_model import StepModel
from engine.model.steps import require_step
from engine.model.surgery import compile_step, turn_on_activation_checkpointing
from engine.model.tta import BaseTTAModel
from engine.model.wrapped import is_model_wrapper
from engine.model.wrappers import (
    MMDistributedDataParallel,
    MMSeparateDistributedDataParallel,
)

__all__ = [
    "BaseAveragedModel",
    "BaseDataPreprocessor",
    "BaseInit",
    "BaseModel",
    "BaseModule",
    "BaseTTAModel",
    "Buckets",
    "Caffe2XavierInit",
    "ConstantInit",
    "ExponentialMovingAverage",
    "ImgDataPreprocessor",
    "KaimingInit",
    "MMDistributedDataParallel",
    "MMSeparateDistributedDataParallel",
    "ModuleDict",
    "ModuleList",
    "MomentumAnnealingEMA",
    "NormalInit",
    "PretrainedInit",
    "Sequential",
    "StepModel",
    "StochasticWeightAverage",
    "TruncNormalInit",
    "UniformInit",
    "XavierInit",
    "bias_init_with_prob",
    "caffe2_xavier_init",
    "compile_step",
    "constant_init",
    "convert_sync_batchnorm",
    "detect_anomalous_params",
    "initialize",
    "is_model_wrapper",
    "kaiming_init",
    "merge_dict",
    "normal_init",
    "reduced_parameters",
    "require_step",
    "revert_sync_batchnorm",
    "stack_batch",
    "trunc_normal_init",
    "turn_on_activation_checkpointing",
    "uniform_init",
    "update_init_info",
    "xavier_init",
]
