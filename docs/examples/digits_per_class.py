"""The digits, class by class: recall of each digit, and which is taken for which.

Train:  engine train docs/examples/digits_per_class.py
Test:   engine test docs/examples/digits_per_class.py

``Accuracy`` and ``ConfusionMatrix`` are Ignite's, by name. The metric of this file
counts in a matrix of its own, so it needs no memory for each image; a run that is
stopped inside a validation goes on with it. The hook shows the confusion matrix.
"""

import torch

from engine import HOOKS, METRICS, BaseMetric, Hook

_base_ = "digits.py"


@METRICS.register_module()
class PerClass(BaseMetric):
    """Recall of each class, and the least of them.

    Args:
        classes: How many there are.
    """

    def __init__(self, classes, prefix=None):
        super().__init__(prefix=prefix)
        self.counts = torch.zeros(classes, 2, dtype=torch.int64)  # right, all

    def process(self, data_batch, data_samples):
        for sample in data_samples:
            targets = sample["targets"]
            hits = sample["outputs"].argmax(1) == targets
            self.counts[:, 0] += targets[hits].bincount(minlength=len(self.counts))
            self.counts[:, 1] += targets.bincount(minlength=len(self.counts))
            self.results += [None] * len(targets)  # they were counted

    def compute_metrics(self, results):
        right, every = self.counts.double().unbind(1)
        recalls = (right / every.clamp(min=1)).tolist()
        values = {f"recall_{digit}": value for digit, value in enumerate(recalls)}
        return {"least_recall": min(recalls), **values}

    def reset(self):
        super().reset()
        self.counts.zero_()


@HOOKS.register_module()
class ShowConfusion(Hook):
    """Logs the confusion matrix: a row for each digit, a column for what it got."""

    def after_val_epoch(self, runner, metrics=None):
        self.show(runner, metrics)

    def after_test_epoch(self, runner, metrics=None):
        self.show(runner, metrics)

    def show(self, runner, metrics):
        matrix = metrics["confusion_matrix"].int()
        rows = ["  ".join(f"{count:3d}" for count in row) for row in matrix.tolist()]
        lines = [f"{digit}: {row}" for digit, row in enumerate(rows)]
        text = "\n".join(["Confusion:", *lines])
        runner.logger.info("confusion", line=text, matrix=matrix.tolist())


val_evaluator = [
    dict(type="ignite.metrics.Accuracy"),
    dict(type="ConfusionMatrix", num_classes=10),
    dict(type="PerClass", classes=10, prefix="class"),
]
test_evaluator = val_evaluator
custom_hooks = [dict(type="ShowConfusion")]
train_cfg = dict(max_epochs=4)
param_scheduler = dict(
    _delete_=True, type="LinearLR", start_factor=0.1, by_epoch=False, end=38
)
