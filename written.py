train_cfg = dict(by_epoch=True, max_epochs=5, val_interval=2)
optim_wrapper = dict(optimizer=dict(type="Adam", lr=0.001))
param_scheduler = [
    dict(type="MultiStepLR", milestones=[6, 8]),
    dict(type="LinearLR", start_factor=0.1, end=2),
]
