train_cfg = dict(by_epoch=True, max_epochs=10, val_interval=2)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9))
param_scheduler = [dict(type="MultiStepLR", milestones=[6, 8])]
