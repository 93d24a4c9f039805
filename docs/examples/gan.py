"""Two networks that play against each other: a generator learns points on a ring.

Train:  engine train docs/examples/gan.py
Test:   engine test docs/examples/gan.py

Each network has an optimizer with schedules of its own. A constructor makes the two of
the model, and the model's ``train_step`` says when each of them steps. Real points lie
0.04 from the ring on average, a quarter of them in each quadrant; the generator's come
close to both.
"""

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import Dataset

from engine import DATASETS, METRICS, MODELS, BaseMetric
from engine.model import BaseModel
from engine.optim import OptimWrapperDict
from engine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS


@DATASETS.register_module()
class Ring(Dataset):
    """Points at a distance of about 1 from the origin.

    Args:
        count: Points.
        seed: Of the points.
    """

    def __init__(self, count, seed):
        draws = torch.Generator().manual_seed(seed)
        angle = 2 * math.pi * torch.rand(count, generator=draws)
        radius = 1 + 0.05 * torch.randn(count, generator=draws)
        self.points = torch.stack([angle.cos(), angle.sin()], dim=1) * radius[:, None]

    def __len__(self):
        return len(self.points)

    def __getitem__(self, index):
        return {"inputs": self.points[index]}


def network(*widths):
    """Linear layers with leaky ReLUs between them."""
    layers = [nn.Linear(widths[0], widths[1])]
    for before, after in pairwise(widths[1:]):
        layers += [nn.LeakyReLU(0.2), nn.Linear(before, after)]
    return nn.Sequential(*layers)


def verdict(scores, truth):
    """Mean loss of scores that should all have said ``truth``: 1 real, 0 made up."""
    return binary_cross_entropy_with_logits(scores, torch.full_like(scores, truth))


@MODELS.register_module()
class Gan(BaseModel):
    """A generator of points and a discriminator that tells them from real ones.

    Args:
        width: Features between layers.
        noise: Numbers that a point is made of.
    """

    def __init__(self, width=64, noise=4):
        super().__init__()
        self.noise = noise
        self.generator = network(noise, width, width, 2)
        self.discriminator = network(2, width, width, 1)

    def draw(self, like):
        """As many points as are given; their noise comes from torch's generator."""
        noise = torch.randn(len(like), self.noise, device=like.device)
        return self.generator(noise)

    def train_step(self, data, optim_wrapper):
        real = self.data_preprocessor(data, True)["inputs"]
        with optim_wrapper["discriminator"].optim_context(self):
            fake = self.draw(real)
            loss_d = verdict(self.discriminator(real), truth=1.0)
            loss_d = loss_d + verdict(self.discriminator(fake.detach()), truth=0.0)
        optim_wrapper["discriminator"].update_params(loss_d)

        with optim_wrapper["generator"].optim_context(self):
            loss_g = verdict(self.discriminator(fake), truth=1.0)
        optim_wrapper["generator"].update_params(loss_g)
        optim_wrapper["discriminator"].zero_grad()  # what the generator's loss left
        return {"loss_d": loss_d.detach(), "loss_g": loss_g.detach()}

    def forward(self, inputs, data_samples=None, mode="tensor"):
        """As many points as were given, whatever the mode."""
        return [{"point": point} for point in self.draw(inputs)]


@METRICS.register_module()
class OnTheRing(BaseMetric):
    """How far points are from the ring, and how evenly they lie on it."""

    def process(self, data_batch, data_samples):
        self.results += [sample["point"].tolist() for sample in data_samples]

    def compute_metrics(self, results):
        points = torch.tensor(results)
        quadrants = (points[:, 0] > 0).long() + 2 * (points[:, 1] > 0).long()
        shares = torch.bincount(quadrants, minlength=4) / len(points)
        return {
            "distance": (points.norm(dim=1) - 1).abs().mean().item(),
            "rarest_quadrant": shares.min().item(),
        }


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class OnePerNetwork:
    """An optimizer wrapper for each part of the model that the spec names."""

    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        self.specs = optim_wrapper_cfg

    def __call__(self, model):
        wrappers = {}
        for name, spec in self.specs.items():
            part = getattr(model, name)
            optimizer = OPTIMIZERS.build(spec["optimizer"], params=part.parameters())
            wrapper = {"type": "OptimWrapper", **spec, "optimizer": optimizer}
            wrappers[name] = OPTIM_WRAPPERS.build(wrapper)
        return OptimWrapperDict(**wrappers)


model = dict(type="Gan")
train_dataloader = dict(
    dataset=dict(type="Ring", count=4096, seed=0),
    sampler=dict(type="InfiniteSampler"),
    batch_size=128,
    collate_fn="default_collate",
)
val_dataloader = dict(
    dataset=dict(type="Ring", count=1000, seed=1),
    batch_size=500,
    collate_fn="default_collate",
)
test_dataloader = val_dataloader
train_cfg = dict(by_epoch=False, max_iters=1500, val_interval=500)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    constructor="OnePerNetwork",
    generator=dict(optimizer=dict(type="Adam", lr=1e-3, betas=(0.5, 0.99))),
    discriminator=dict(
        optimizer=dict(type="Adam", lr=2e-3, betas=(0.5, 0.99)),
        clip_grad=dict(max_norm=10.0),
    ),
)
param_scheduler = dict(
    generator=[
        dict(type="LinearLR", start_factor=0.1, by_epoch=False, end=100),
        dict(type="PolyLR", eta_min=1e-5, by_epoch=False, begin=500),
    ],
    discriminator=dict(type="CosineAnnealingLR", eta_min=1e-4, by_epoch=False),
)
val_evaluator = dict(type="OnTheRing")
test_evaluator = dict(type="OnTheRing")
default_hooks = dict(
    logger=dict(interval=250),
    checkpoint=dict(by_epoch=False, interval=250, save_best="distance", rule="less"),
)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
