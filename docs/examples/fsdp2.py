"""A small transformer that learns to add, its parameters cut over ranks by FSDP2.

Train:   engine train docs/examples/fsdp2.py --nproc 2
Resume:  engine train docs/examples/fsdp2.py --nproc 2 --resume
Test:    engine test docs/examples/fsdp2.py --nproc 2

Each rank keeps a part of each weight and of the optimizer's state, and a whole block
only while it computes it. The model is built without memory: no rank ever has all of
it. Checkpoints are written in pieces, and read by any number of ranks.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from torch.utils.data import Dataset

from engine import DATASETS, METRICS, MODELS, BaseMetric
from engine.model import BaseModel

CHARACTERS = "0123456789+=\n"
LENGTH = 9  # "17+25=42\n"


@DATASETS.register_module()
class Sums(Dataset):
    """Lines of text such as ``"17+25=42"``; the parts do not overlap.

    Args:
        part: ``"train"`` or ``"test"`` (one line of eight).
    """

    def __init__(self, part):
        codes = {character: code for code, character in enumerate(CHARACTERS)}
        pairs = [(a, b) for a in range(50) for b in range(50)]
        lines = [f"{a:02}+{b:02}={a + b:02}\n" for a, b in pairs]
        order = torch.randperm(len(lines), generator=torch.Generator().manual_seed(0))
        chosen = (
            order[len(lines) // 8 :] if part == "train" else order[: len(lines) // 8]
        )
        self.lines = [torch.tensor([codes[one] for one in lines[i]]) for i in chosen]

    def __len__(self):
        return len(self.lines)

    def __getitem__(self, index):
        line = self.lines[index]
        return {"inputs": line[:-1], "data_samples": line[1:]}


class Block(nn.Module):
    """Looks back, then thinks: the layer that the model has many of."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.look_norm = nn.LayerNorm(width)
        self.look = nn.Linear(width, 3 * width)
        self.gather = nn.Linear(width, width)
        self.think = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
        )

    def forward(self, inputs):
        parts = self.look(self.look_norm(inputs)).chunk(3, dim=-1)
        heads = [one.unflatten(-1, (self.heads, -1)).transpose(1, 2) for one in parts]
        seen = scaled_dot_product_attention(*heads, is_causal=True)
        inputs = inputs + self.gather(seen.transpose(1, 2).flatten(2))
        return inputs + self.think(inputs)


@MODELS.register_module()
class SmallTransformer(BaseModel):
    """Guesses each character from those before it.

    Args:
        width: Features of a character.
        depth: How many blocks.
        heads: In how many ways each looks back.
        data_preprocessor: Moves a batch to the model's device; a spec or a module.
    """

    def __init__(self, width=64, depth=3, heads=4, data_preprocessor=None):
        super().__init__(data_preprocessor=data_preprocessor)
        self.characters = nn.Embedding(len(CHARACTERS), width)
        self.places = nn.Embedding(LENGTH, width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, len(CHARACTERS))

    def init_weights(self):
        for name, weight in self.named_parameters():
            if name.endswith("weight") and weight.dim() > 1:
                nn.init.normal_(weight, std=0.1)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        places = torch.arange(inputs.shape[1], device=inputs.device)
        found = self.characters(inputs) + self.places(places)
        for block in self.blocks:
            found = block(found)
        scores = self.head(self.norm(found))
        if mode == "loss":
            return {"loss": cross_entropy(scores.mT, data_samples)}
        if mode == "predict":
            guesses = scores.argmax(-1)
            pairs = zip(guesses, data_samples, strict=True)
            return [{"guess": one, "target": target} for one, target in pairs]
        return scores


@METRICS.register_module()
class RightSums(BaseMetric):
    """The share of lines whose sum is guessed right, digit by digit."""

    def process(self, data_batch, data_samples):
        for one in data_samples:
            right = one["guess"][-3:] == one["target"][-3:]  # after the "="
            self.results.append(bool(right.all()))

    def compute_metrics(self, results):
        return {"right": sum(results) / len(results)}


def _loader(part, batch_size, shuffle):
    return dict(
        dataset=dict(type="Sums", part=part),
        sampler=dict(type="DefaultSampler", shuffle=shuffle),
        batch_size=batch_size,
        collate_fn="default_collate",
    )


strategy = dict(type="FSDP2Strategy", classes="Block", meta_init=True)
model = dict(type="SmallTransformer", width=64, depth=3)
train_dataloader = _loader("train", 32, shuffle=True)  # for each rank
val_dataloader = _loader("test", 128, shuffle=False)
test_dataloader = _loader("test", 128, shuffle=False)
train_cfg = dict(max_epochs=8)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type="AdamW", lr=3e-3), clip_grad=dict(max_norm=1.0)
)
param_scheduler = dict(
    type="OneCycleLR", eta_max=3e-3, total_steps=8, convert_to_iter_based=True
)
val_evaluator = dict(type="RightSums")
test_evaluator = dict(type="RightSums")
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=2))
randomness = dict(seed=0, deterministic=True)
