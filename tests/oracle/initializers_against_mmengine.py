"""Compare ``init_cfg`` with MMEngine 0.10.7's, as a black box, on random specs.

    python tests/oracle/initializers_against_mmengine.py --cases 300 --seed 0

Each case draws the specs of a model and of its parts, with overrides; both systems
initialise the same model from the same seed, and every weight must be equal to the bit.
"""

from __future__ import annotations

import argparse
import copy
import logging
import random
import sys
import warnings
from pathlib import Path
from typing import Any

import mmengine
import mmengine.model as theirs
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import engine.model as ours

SCHEMES: list[dict[str, Any]] = [
    {"type": "Constant", "val": 0.3, "bias": 0.1},
    {"type": "Xavier", "distribution": "uniform"},
    {"type": "Xavier", "gain": 1.5},
    {"type": "Normal", "std": 0.1},
    {"type": "Normal", "std": 0.01, "bias_prob": 0.02},
    {"type": "TruncNormal", "std": 0.5},
    {"type": "TruncNormal", "mean": 0.1, "std": 0.7, "a": -1, "b": 0.5},
    {"type": "Uniform", "a": -1.0, "b": 1.0},
    {"type": "Kaiming"},
    {"type": "Kaiming", "mode": "fan_in", "distribution": "uniform", "a": 1},
    {"type": "Caffe2Xavier"},
]
LAYERS = [None, "Conv2d", ["Conv2d", "Linear"], "_ConvNd", "BatchNorm2d", "Module"]


def draw(rng: random.Random, parts: list[str]) -> Any:
    """No spec, one, or several, with overrides of some of the parts."""
    if rng.random() < 0.2:
        return None
    specs = []
    for _ in range(rng.randint(1, 3)):
        spec = dict(rng.choice(SCHEMES))
        layer = rng.choice(LAYERS)
        if layer is not None:
            spec["layer"] = layer
        if rng.random() < 0.4:
            override = {"name": rng.choice(parts)}
            if rng.random() < 0.6:
                override |= rng.choice(SCHEMES)
            spec["override"] = override if rng.random() < 0.5 else [override]
        specs.append(spec)
    return specs[0] if len(specs) == 1 else specs


def weights(package: Any, whole: Any, part: Any) -> dict[str, Any] | str:
    """What the model begins with, or the kind of error it raised."""

    class Part(package.BaseModule):  # type: ignore[misc] # only known here
        def __init__(self, init_cfg: Any = None) -> None:
            super().__init__(init_cfg)
            self.conv = nn.Conv2d(2, 3, 1)
            self.norm = nn.BatchNorm2d(3)
            self.line = nn.Linear(3, 2)

    class Net(package.BaseModule):  # type: ignore[misc] # only known here
        def __init__(self) -> None:
            super().__init__(copy.deepcopy(whole))
            self.one = Part(copy.deepcopy(part))
            self.two = Part()
            self.head = nn.Linear(2, 2)
            self.shown = package.Sequential(nn.Conv1d(2, 2, 1), Part())
            self.hidden = nn.Sequential(Part(copy.deepcopy(part)))

    torch.manual_seed(3)
    net = Net()
    torch.manual_seed(5)
    try:
        net.init_weights()
    except ValueError:  # a weight with one axis has no fan
        return "ValueError"
    state: dict[str, Any] = net.state_dict()
    return state


def same(want: Any, got: Any) -> bool:
    """Whether both failed, or have the same bits."""
    if isinstance(want, str) or isinstance(got, str):
        return bool(isinstance(want, str) and isinstance(got, str))
    return want.keys() == got.keys() and all(
        torch.equal(value, got[name]) for name, value in want.items()
    )


def main() -> int:
    """Run the cases; exit 1 if one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rng = random.Random(options.seed)
    failed = refused = 0
    for _ in range(options.cases):
        whole, part = (
            draw(rng, ["one", "two", "head"]),
            draw(rng, ["conv", "norm", "line"]),
        )
        want, got = weights(theirs, whole, part), weights(ours, whole, part)
        refused += isinstance(want, str)
        if not same(want, got):
            failed += 1
            print(f"differs: {whole}, {part}")  # noqa: T201
    print(  # noqa: T201
        f"mmengine {mmengine.__version__}, seed {options.seed}: {options.cases} "
        f"models, {refused} of them refused by both, {failed} differ"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
