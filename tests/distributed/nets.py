"""Small networks and runs for the tests of strategies; all of it is pickled by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed, nn
from torch.utils.data import Dataset

from engine.checkpoint import map_leaves
from engine.model import BaseModel
from engine.runner import Runner

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Block", "Net", "Rows", "collate", "make_runner", "whole_state"]

FEATURES, WIDTH, CLASSES, SAMPLES, BATCH = 6, 10, 3, 36, 12


class Block(nn.Module):
    """A residual layer; no dimension of its weights can be cut evenly by 3."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, width)

    def forward(self, inputs: Tensor) -> Tensor:
        """Add something to the inputs."""
        added: Tensor = nn.functional.gelu(self.linear(self.norm(inputs)))
        return inputs + added


class Net(BaseModel):
    """Some blocks; the last weight has fewer rows than there may be ranks."""

    def __init__(self, blocks: int = 2, scale: float = 0.3, **options: Any) -> None:
        super().__init__(**options)
        self.scale = scale
        self.stem = nn.Linear(FEATURES, WIDTH)
        self.blocks = nn.ModuleList([Block() for _ in range(blocks)])
        self.head = nn.Linear(WIDTH, CLASSES)
        self.squeeze = nn.Linear(CLASSES, 1)

    def forward(
        self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor"
    ) -> Any:
        """Scores, or a loss of them."""
        found = self.stem(inputs)
        for block in self.blocks:
            found = block(found)
        scores = self.head(found)
        scores = scores + self.squeeze(scores)
        if mode == "loss":
            return {"loss": nn.functional.cross_entropy(scores, data_samples)}
        return [scores] if mode == "predict" else scores

    def init_weights(self) -> None:
        """Draw the weights in several of torch's ways."""
        nn.init.trunc_normal_(self.stem.weight, std=self.scale)
        nn.init.orthogonal_(self.head.weight)
        with torch.no_grad():  # by hand, in place and out of it
            drawn = self.stem.bias.uniform_(-0.9, 0.9).erfinv_()
            drawn.copy_(torch.where(drawn > 0, drawn, torch.ones(drawn.shape)))
        for block in self.blocks:
            nn.init.xavier_normal_(block.get_submodule("linear").weight)  # type: ignore[arg-type]


class Rows(Dataset[tuple[Tensor, int]]):
    """Made-up samples."""

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        generator = torch.Generator().manual_seed(index)
        return torch.randn(FEATURES, generator=generator), index % CLASSES


def collate(samples: list[tuple[Tensor, int]]) -> dict[str, Tensor]:
    """Arguments of :class:`Net`."""
    return {
        "inputs": torch.stack([one for one, _ in samples]),
        "data_samples": torch.tensor([label for _, label in samples]),
    }


def make_runner(work_dir: str | Path, **settings: Any) -> Any:
    """A run of :class:`Net` on this rank, whose batches are those of all together.

    Args:
        work_dir: The same on all ranks.
        settings: Change the config's entries.
    """
    torch.set_num_threads(1)
    world = distributed.get_world_size() if distributed.is_initialized() else 1
    config: dict[str, Any] = {
        "model": {"type": Net},
        "work_dir": str(work_dir),
        "train_dataloader": {
            "dataset": Rows(),
            "batch_size": BATCH // world,
            "sampler": {"type": "DefaultSampler", "shuffle": True},
            "collate_fn": collate,
        },
        "train_cfg": {"by_epoch": False, "max_iters": 3},
        "optim_wrapper": {
            "optimizer": {"type": "AdamW", "lr": 0.01},
            "clip_grad": {"max_norm": 0.5},
        },
        "default_hooks": {
            "checkpoint": {"type": "CheckpointHook", "interval": 1, "by_epoch": False}
        },
        "randomness": {"seed": 1, "deterministic": True},
        "log_level": "ERROR",
        **settings,
    }
    return Runner.from_cfg(config)


def whole_state(module: Any) -> dict[str, Tensor]:
    """Weights and buffers, each whole, on every rank."""
    gathered: dict[str, Tensor] = map_leaves(
        module.state_dict(),
        lambda one: (one.full_tensor() if hasattr(one, "full_tensor") else one).clone(),
    )
    return gathered
