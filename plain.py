from engine.config import read_base

with read_base():
    from .parts import *

optim_wrapper.update(accumulative_counts=2)
train_cfg = dict(by_epoch=True, max_epochs=3)
