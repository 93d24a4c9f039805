_base_ = "base.py"

train_cfg = dict(max_epochs=5)
optim_wrapper = dict(optimizer=dict(_delete_=True, type="Adam", lr=1e-3))
param_scheduler = _base_.param_scheduler + [
    dict(type="LinearLR", start_factor=0.1, end=2)
]
