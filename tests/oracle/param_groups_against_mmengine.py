"""Compare parameter groups with MMEngine 0.10.7's, as a black box, on random rules.

    python tests/oracle/param_groups_against_mmengine.py --cases 300 --seed 0

Each case draws a model and a ``paramwise_cfg``; every parameter's learning rate and
weight decay, and the order of the groups, must be equal.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mmengine
import mmengine.optim as theirs
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import engine.optim as ours

if TYPE_CHECKING:
    from collections.abc import Callable

LAYERS: dict[str, Callable[[], Any]] = {
    "conv": lambda: nn.Conv2d(4, 4, 1),
    "depthwise": lambda: nn.Conv2d(4, 4, 1, groups=4),
    "linear": lambda: nn.Linear(4, 4),
    "norm": lambda: nn.BatchNorm2d(4),
    "layer_norm": lambda: nn.LayerNorm(4),
    "instance_norm": lambda: nn.InstanceNorm1d(4, affine=True),
    "group_norm": lambda: nn.GroupNorm(2, 4),
    "attention": lambda: nn.MultiheadAttention(4, 2),
    "embedding": lambda: nn.Embedding(3, 4),
}
KEYS = ["body", "head", "body.0", "bias", "weight", "norm", "conv.weight", "attention"]


class Scale(nn.Module):
    """A parameter of its own, with one axis or none."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones([3] * axes))


def draw_model(rng: random.Random) -> nn.Module:
    """A body and a head of random layers."""

    def part() -> nn.Module:
        names = [rng.choice(list(LAYERS)) for _ in range(rng.randint(1, 4))]
        made = {f"{i}_{name}": LAYERS[name]() for i, name in enumerate(names)}
        return nn.ModuleDict({**made, "own": Scale(rng.randint(0, 2))})

    model = nn.ModuleDict({"body": nn.ModuleList([part(), part()]), "head": part()})
    for parameter in model.parameters():
        parameter.requires_grad = rng.random() > 0.1
    return model


def draw_rules(rng: random.Random, names: list[str]) -> dict[str, Any]:
    """Some of the rules, with factors that tell them apart."""
    rules: dict[str, Any] = {
        name: rng.uniform(0, 3)
        for name in (
            "bias_lr_mult",
            "bias_decay_mult",
            "norm_decay_mult",
            "dwconv_decay_mult",
            "flat_decay_mult",
        )
        if rng.random() < 0.5
    }
    if rng.random() < 0.6:
        rules["custom_keys"] = {
            key: {
                name: rng.uniform(0, 3)
                for name in ("lr_mult", "decay_mult")
                if rng.random() < 0.7
            }
            for key in rng.sample(KEYS, rng.randint(1, 4))
            if any(key in name for name in names)
        }
    return rules


def groups(package: Any, model: nn.Module, rules: dict[str, Any]) -> list[Any]:
    """Each parameter's name, learning rate and weight decay, in order."""
    optimizer = {"type": "SGD", "lr": 0.1, "weight_decay": 0.01, "momentum": 0.9}
    cfg = {"type": "OptimWrapper", "optimizer": optimizer}
    made = package.DefaultOptimWrapperConstructor(cfg, rules)(model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [
        (names[id(parameter)], group["lr"], group["weight_decay"])
        for group in made.optimizer.param_groups
        for parameter in group["params"]
    ]


def main() -> int:
    """Run the cases; exit 1 if one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)  # MMEngine tells of each parameter
    rng = random.Random(options.seed)
    failed = compared = 0
    for _ in range(options.cases):
        model = draw_model(rng)
        rules = draw_rules(rng, [name for name, _ in model.named_parameters()])
        want, got = groups(theirs, model, rules), groups(ours, model, rules)
        compared += len(want)
        if want != got:
            failed += 1
            differ = [
                pair for pair in zip(want, got, strict=False) if len(set(pair)) > 1
            ]
            print(f"differs: {rules}\n  {differ[:4]}")  # noqa: T201
    print(  # noqa: T201
        f"mmengine {mmengine.__version__}, seed {options.seed}: {options.cases} cases, "
        f"{compared} parameters, {failed} cases differ"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
