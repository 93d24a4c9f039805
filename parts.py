from torch.optim import SGD

optim_wrapper = dict(optimizer=dict(type=SGD, lr=0.1))
