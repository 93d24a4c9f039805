"""A language model of characters, on the manual that comes with Python.

Train:  engine train docs/examples/char_lm.py
Test:   engine test docs/examples/char_lm.py

The run is bounded by iterations, and its sampler never ends. The model is a
``BaseModel``: one ``forward`` with a mode for the loss and one for predictions.
"""

import math
import string
from pydoc_data.topics import topics

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from engine import DATASETS, METRICS, MODELS, BaseMetric
from engine.model import BaseModel

CHARACTERS = string.printable


@DATASETS.register_module()
class ManualText(Dataset):
    """Pieces of what ``help()`` says on Python's topics; the parts do not overlap.

    Args:
        part: ``"train"`` (80 % of the text), ``"val"`` or ``"test"`` (10 % each).
        length: Characters to predict in a piece.
        stride: Characters from the start of a piece to the next one's.
    """

    def __init__(self, part, length=64, stride=64):
        codes = {character: code for code, character in enumerate(CHARACTERS)}
        text = "\n".join(topics[name] for name in sorted(topics))
        text = torch.tensor([codes[one] for one in text if one in codes])
        ends = {"train": (0.0, 0.8), "val": (0.8, 0.9), "test": (0.9, 1.0)}[part]
        begin, end = (int(share * len(text)) for share in ends)
        self.pieces = text[begin:end].unfold(0, length + 1, stride)

    def __len__(self):
        return len(self.pieces)

    def __getitem__(self, index):
        piece = self.pieces[index]
        return {"inputs": piece[:-1], "data_samples": piece[1:]}


@MODELS.register_module()
class CharacterModel(BaseModel):
    """Guesses each character from those before it, by a recurrent network.

    Args:
        width: Features of a character and of the memory.
        data_preprocessor: Moves a batch to the model's device; a spec or a module.
    """

    def __init__(self, width=96, data_preprocessor=None):
        super().__init__(data_preprocessor=data_preprocessor)
        self.embedding = nn.Embedding(len(CHARACTERS), width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, len(CHARACTERS))

    def forward(self, inputs, data_samples=None, mode="tensor"):
        scores = self.head(self.memory(self.embedding(inputs))[0])
        if mode == "tensor":
            return scores
        reduction = "mean" if mode == "loss" else "none"
        nats = cross_entropy(scores.mT, data_samples, reduction=reduction)
        if mode == "loss":
            return {"loss": nats}
        return [  # mode == "predict": one element for each piece
            {"bits": one.sum() / math.log(2), "targets": targets}
            for one, targets in zip(nats, data_samples, strict=True)
        ]


@METRICS.register_module()
class BitsPerCharacter(BaseMetric):
    """What it costs to write a character down if the model's guesses are known.

    ``unigram_bits`` is what it costs if only the frequencies of the characters are.
    """

    def process(self, data_batch, data_samples):
        for sample in data_samples:
            count = torch.bincount(sample["targets"], minlength=len(CHARACTERS))
            self.results.append((sample["bits"].item(), count))

    def compute_metrics(self, results):
        count = sum(one for _, one in results).double()
        share = count / count.sum()
        return {
            "bits": sum(bits for bits, _ in results) / int(count.sum()),
            "unigram_bits": -torch.special.xlogy(share, share).sum().item()
            / math.log(2),
        }


def _loader(part, batch_size, sampler):
    return dict(
        dataset=dict(type="ManualText", part=part),
        sampler=sampler,
        batch_size=batch_size,
        collate_fn="default_collate",
    )


model = dict(type="CharacterModel", width=96)
train_dataloader = _loader("train", 32, dict(type="InfiniteSampler", shuffle=True))
val_dataloader = _loader("val", 128, dict(type="DefaultSampler", shuffle=False))
test_dataloader = _loader("test", 128, dict(type="DefaultSampler", shuffle=False))
train_cfg = dict(by_epoch=False, max_iters=200, val_interval=50)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type="Adam", lr=1e-2), clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=20),
    dict(
        type="CosineAnnealingLR",
        T_max=180,
        eta_min=1e-4,
        by_epoch=False,
        begin=20,
        end=200,
    ),
]
val_evaluator = dict(type="BitsPerCharacter")
test_evaluator = dict(type="BitsPerCharacter")
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(
        interval=50, by_epoch=False, max_keep_ckpts=2, save_best="bits", rule="less"
    ),
)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
