"""Handwritten digits: 1,797 real images of 8 by 8 pixels, from scikit-learn.

Train:  engine train docs/examples/digits.py
Test:   engine test docs/examples/digits.py

A config is a Python file; its variables are the Runner's arguments. Classes of your own
are registered and named, or passed as they are.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import Dataset

from engine import DATASETS, METRICS, MODELS, BaseMetric


@DATASETS.register_module()
class Digits(Dataset):
    """A part of the digits; the parts do not overlap.

    Args:
        part: ``"train"`` (1,197 images), ``"val"`` (300) or ``"test"`` (300).
        shift: Move each image by up to so many pixels, at random.
    """

    def __init__(self, part, shift=0):
        images, labels = load_digits(return_X_y=True)
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        chosen = {"train": order[600:], "val": order[:300], "test": order[300:600]}
        self.images = torch.tensor(images, dtype=torch.float32)[chosen[part]] / 16
        self.labels = torch.tensor(labels)[chosen[part]]
        self.shift = shift

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = self.images[index].reshape(1, 8, 8)
        if self.shift:  # drawn from torch's generator: the engine makes it repeatable
            down, right = torch.randint(-self.shift, self.shift + 1, (2,)).tolist()
            image = image.roll((down, right), dims=(1, 2))
        return image, self.labels[index]


@MODELS.register_module()
class DigitsNet(nn.Module):
    """A small convolutional network with batch normalization and dropout.

    Args:
        width: Channels of the first layer.
        dropout: Probability of dropping a feature.
    """

    def __init__(self, width=32, dropout=0.2):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(2 * width * 16, 10),
        )

    def forward(self, images):
        return self.layers(images)


@METRICS.register_module()
class Accuracy(BaseMetric):
    """Share of images whose digit was recognized."""

    def process(self, data_batch, data_samples):
        for sample in data_samples:
            hits = sample["outputs"].argmax(1) == sample["targets"]
            self.results += hits.tolist()

    def compute_metrics(self, results):
        return {"accuracy": sum(results) / len(results)}


model = dict(
    type="StepModel",
    module=dict(type="DigitsNet"),
    loss=nn.functional.cross_entropy,
)
train_dataloader = dict(
    dataset=dict(type="Digits", part="train", shift=1),
    sampler=dict(type="DefaultSampler", shuffle=True),
    batch_size=64,
    num_workers=0,
    collate_fn="default_collate",
)
val_dataloader = dict(
    dataset=dict(type="Digits", part="val"),
    batch_size=300,
    collate_fn="default_collate",
)
test_dataloader = dict(
    dataset=dict(type="Digits", part="test"),
    batch_size=300,
    collate_fn="default_collate",
)
train_cfg = dict(by_epoch=True, max_epochs=15)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type="AdamW", lr=3e-3, weight_decay=0.01))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=38),
    dict(
        type="CosineAnnealingLR",
        T_max=14,
        eta_min=1e-5,
        begin=2,
        end=15,
        convert_to_iter_based=True,
    ),
]
val_evaluator = dict(type="Accuracy")
test_evaluator = dict(type="Accuracy")
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(max_keep_ckpts=3, save_best="accuracy", rule="greater"),
)
randomness = dict(seed=0)
