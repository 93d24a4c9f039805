"""The digits' loaders; the dataset's class is in ``docs/examples/digits.py``."""

from torch.utils.data import default_collate

from engine.dataset import DefaultSampler

train_dataloader = dict(
    dataset=dict(type="Digits", part="train", shift=1),
    sampler=dict(type=DefaultSampler, shuffle=True),
    batch_size=64,
    collate_fn=default_collate,
)
val_dataloader = dict(
    dataset=dict(type="Digits", part="val"),
    batch_size=300,
    collate_fn=default_collate,
)
test_dataloader = dict(
    dataset=dict(type="Digits", part="test"),
    batch_size=300,
    collate_fn=default_collate,
)
val_evaluator = dict(type="Accuracy")
test_evaluator = dict(type="Accuracy")
