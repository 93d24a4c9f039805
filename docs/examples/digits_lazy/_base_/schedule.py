"""How long to train, and how the learning rate moves."""

from torch.optim import AdamW

from engine.optim import CosineAnnealingLR, LinearLR

train_cfg = dict(by_epoch=True, max_epochs=15)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type=AdamW, lr=3e-3, weight_decay=0.01))
param_scheduler = [
    dict(type=LinearLR, start_factor=0.1, by_epoch=False, begin=0, end=38),
    dict(
        type=CosineAnnealingLR,
        T_max=14,
        eta_min=1e-5,
        begin=2,
        end=15,
        convert_to_iter_based=True,
    ),
]
randomness = dict(seed=0)
