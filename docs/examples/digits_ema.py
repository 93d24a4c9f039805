"""The digits with an average of the weights, which is what validation and test see.

Train:  engine train docs/examples/digits_ema.py
Test:   engine test docs/examples/digits_ema.py

The learning rate of ``digits.py`` falls to almost nothing. Here it stays up after the
warm-up, and the average smooths what the weights jump about. Checkpoints hold the
averages as their weights, so ``engine test`` sees them too.
"""

_base_ = "digits.py"

custom_hooks = [
    dict(type="EMAHook", ema_type="MomentumAnnealingEMA", momentum=0.02, gamma=10),
]
train_cfg = dict(max_epochs=8)
param_scheduler = dict(
    _delete_=True, type="LinearLR", start_factor=0.1, by_epoch=False, end=38
)
