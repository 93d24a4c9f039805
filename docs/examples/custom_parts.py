"""A loop, a hook and a metric of your own, on two spirals of points.

Train:  engine train docs/examples/custom_parts.py
Test:   engine test docs/examples/custom_parts.py

The loop overrides one method of the engine's and announces its stages by
``call_hook``, so hooks, checkpoints and exact resume work as with the engine's own.
"""

import math

import torch
from torch import nn
from torch.utils.data import Dataset

from engine import DATASETS, HOOKS, LOOPS, METRICS, MODELS, BaseMetric, Hook
from engine.loops import EpochBasedTrainLoop


@DATASETS.register_module()
class Spirals(Dataset):
    """Points on two spirals, with noise.

    Args:
        count: Points on each spiral.
        seed: Of the points.
    """

    def __init__(self, count, seed):
        self.metainfo = {"classes": ("inner", "outer")}  # metrics get it
        noise = torch.Generator().manual_seed(seed)
        turn = torch.linspace(0.5, 3.0, count) * math.pi
        self.labels = torch.tensor([0, 1]).repeat(count)
        angle = turn.repeat_interleave(2) + self.labels * math.pi
        radius = turn.repeat_interleave(2)[:, None] / (3 * math.pi)
        points = torch.stack([angle.cos(), angle.sin()], dim=1) * radius
        self.points = points + 0.01 * torch.randn(points.shape, generator=noise)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.points[index], self.labels[index]


@MODELS.register_module()
class SpiralNet(nn.Sequential):
    """Three linear layers.

    Args:
        width: Features between them.
    """

    def __init__(self, width=64):
        super().__init__(
            nn.Linear(2, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, 2),
        )


@LOOPS.register_module()
class MixupTrainLoop(EpochBasedTrainLoop):
    """Trains on points between two samples of a batch, with labels between theirs.

    Args:
        share: Largest share of the other sample, from 0 to 0.5.
        kwargs: Arguments of ``EpochBasedTrainLoop``.
    """

    def __init__(self, runner, dataloader, share=0.05, **kwargs):
        super().__init__(runner, dataloader, **kwargs)
        self.share = share

    def run_iter(self, idx, data_batch):
        runner = self.runner
        runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        outputs = runner.model.train_step(
            self.mix(*data_batch), optim_wrapper=runner.optim_wrapper
        )
        runner.call_hook(
            "after_train_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs
        )
        self._iter += 1

    def mix(self, points, labels):
        """The batch moved towards itself in another order."""
        order = torch.randperm(len(points))  # a resumed run draws the same
        share = self.share * torch.rand(len(points), 1)
        goals = nn.functional.one_hot(labels, 2).float()
        return (
            points.lerp(points[order], share),
            goals.lerp(goals[order], share),
        )


@HOOKS.register_module()
class StopWhenGoodHook(Hook):
    """Stops training when a metric was good enough several times in a row.

    Args:
        metric: Its name.
        above: What is good enough.
        times: Validations in a row.
    """

    def __init__(self, metric, above, times=2):
        self.metric = metric
        self.above = above
        self.times = times
        self.good = 0

    def after_val_epoch(self, runner, metrics=None):
        self.good = self.good + 1 if metrics[self.metric] > self.above else 0
        if self.good == self.times:
            runner.train_loop.stop_training = True

    def state_dict(self):
        return {"good": self.good}  # in every checkpoint

    def load_state_dict(self, state_dict):
        self.good = state_dict["good"]


@METRICS.register_module()
class AccuracyByClass(BaseMetric):
    """Share of points that were put on the right spiral, for each spiral and in all."""

    def process(self, data_batch, data_samples):
        for sample in data_samples:
            labels = sample["targets"]
            hits = sample["outputs"].argmax(1) == labels
            self.results += zip(labels.tolist(), hits.tolist(), strict=True)

    def compute_metrics(self, results):
        values = {}
        for label, name in enumerate(self.dataset_meta["classes"]):
            hits = [hit for one, hit in results if one == label]
            values[name] = sum(hits) / len(hits)
        values["accuracy"] = sum(hit for _, hit in results) / len(results)
        return values


def _loader(count, seed, shuffle):
    return dict(
        dataset=dict(type="Spirals", count=count, seed=seed),
        sampler=dict(type="DefaultSampler", shuffle=shuffle),
        batch_size=64,
        collate_fn="default_collate",
    )


model = dict(
    type="StepModel",
    module=dict(type="SpiralNet", width=64),
    loss=nn.functional.cross_entropy,
)
train_dataloader = _loader(400, seed=1, shuffle=True)
val_dataloader = _loader(100, seed=2, shuffle=False)
test_dataloader = _loader(100, seed=3, shuffle=False)
train_cfg = dict(type="MixupTrainLoop", max_epochs=60, val_interval=5)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type="Adam", lr=5e-3))
val_evaluator = dict(type="AccuracyByClass", prefix="spirals")
test_evaluator = dict(type="AccuracyByClass", prefix="spirals")
default_hooks = dict(
    logger=dict(interval=13), checkpoint=dict(interval=5, max_keep_ckpts=2)
)
custom_hooks = [
    dict(type="StopWhenGoodHook", metric="spirals/accuracy", above=0.98),
]
randomness = dict(seed=0)
