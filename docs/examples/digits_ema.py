"""The digits with an average of the weights, which is what validation and test see.

Train:  engine train docs/examples/digits_ema.py
Test:   engine test docs/examples/digits_ema.py
"""

_base_ = "digits.py"

custom_hooks = [
    dict(type="EMAHook", ema_type="MomentumAnnealingEMA", momentum=0.02, gamma=10),
]
train_cfg = dict(max_epochs=6)
param_scheduler = dict(
    _delete_=True,
    type="OneCycleLR",
    eta_max=5e-3,
    total_steps=6,
    convert_to_iter_based=True,
)
