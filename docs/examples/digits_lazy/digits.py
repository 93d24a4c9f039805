"""The digits again, from two bases, shorter and with a smaller network.

Train:  engine train docs/examples/digits_lazy/digits.py
Test:   engine test docs/examples/digits_lazy/digits.py

``type`` is a class here. Reading this file imports none of them: a class is imported
when it is built.
"""

# ruff: noqa: F403, F405 - bases are imported whole

from torch.nn.functional import cross_entropy

from engine.config import read_base
from engine.hooks import CheckpointHook
from engine.model import StepModel

with read_base():
    from ._base_.data import *
    from ._base_.schedule import *

custom_imports = dict(imports=["../digits.py"])  # Digits and others
model = dict(
    type=StepModel,
    module=dict(type="DigitsNet", width=16),
    loss=cross_entropy,
)
train_cfg.update(max_epochs=5)
param_scheduler[1].update(T_max=4, end=5)
default_hooks = dict(
    checkpoint=dict(
        type=CheckpointHook,
        interval=1,
        max_keep_ckpts=1,
        save_best="accuracy",
        rule="greater",
    ),
)
