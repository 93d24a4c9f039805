"""A run goes on with another number of ranks: the same samples in each iteration."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from engine import Hook, Phase, Runner, StepModel
from engine.dist import all_gather_object, get_rank, get_world_size
from engine.errors import InexactResumeError, StateError
from engine.state import seed_everything
from tests.ranks import run_ranks

if TYPE_CHECKING:
    from engine.state import RunContext

pytestmark = pytest.mark.distributed

GLOBAL_BATCH = 4
SAMPLERS: dict[str, dict[str, Any]] = {
    "default": {"type": "DefaultSampler", "pad_to": GLOBAL_BATCH},
    "index shuffle": {"type": "IndexShuffleSampler", "pad_to": GLOBAL_BATCH},
    "infinite": {"type": "InfiniteSampler"},
}


class Noisy(Dataset[tuple[int, Tensor, int]]):
    """Points that each draw moves."""

    def __init__(self, size: int) -> None:
        self.points = torch.randn(size, 3, generator=torch.Generator().manual_seed(1))

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> tuple[int, Tensor, int]:
        point = self.points[index]
        return index, point + 0.1 * torch.rand(3), int(point.sum() > 0)


class Samples(Hook):
    """Remembers what all ranks trained on in each iteration."""

    def __init__(self, stop: int | None) -> None:
        self.stop = stop
        self.seen: list[list[Any]] = []

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        ids, points, _ = data_batch
        mine = [*zip(ids.tolist(), points.tolist(), strict=True)]
        whole = sorted(one for some in all_gather_object(mine) for one in some)
        rate = runner.optim_wrapper.get_lr()["lr"]
        self.seen.append([runner.iter, runner.epoch, rate, whole])
        if runner.iter + 1 == self.stop:
            runner.trainer.interrupt()

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.seen = state["seen"]


def parts(
    folder: Path, kind: str, stop: int | None, **changes: Any
) -> tuple[list[Any], list[float], str]:
    """On a rank: train up to a stop; what was seen, the weights, where it ended."""
    seed_everything(1)
    world = get_world_size()
    hook = Samples(stop)
    by_iters = {"by_epoch": False, "max_iters": 9}
    runner = Runner(
        StepModel(
            nn.Linear(3, 2),
            nn.functional.cross_entropy,
            preprocess=_points_and_labels,
        ),
        folder / str(get_rank()),
        train_dataloader={
            "dataset": Noisy(10),
            "batch_size": GLOBAL_BATCH // world,
            "sampler": SAMPLERS[kind],
            "collate_fn": "default_collate",
            **changes.pop("loader", {}),
        },
        train_cfg=by_iters if kind == "infinite" else {"max_epochs": 3},
        optim_wrapper={
            "optimizer": {"type": "Adam", "lr": 0.05},
            "accumulative_counts": 2,
        },
        param_scheduler={"type": "LinearLR", "by_epoch": False, "end": 5},
        default_hooks={"checkpoint": None, "logger": None},
        custom_hooks=[hook],
        randomness={"seed": 3},
        log_level="CRITICAL",
        visualizer={"vis_backends": []},
        **changes,
    )
    runner.train()
    if runner.state.phase is Phase.INTERRUPTED:
        runner.save_checkpoint(folder, "cut.pth")
    weights = torch.cat([one.flatten() for one in runner.model.parameters()])
    return hook.seen, weights.tolist(), runner.state.phase.value


def _points_and_labels(batch: Any) -> tuple[Any, Any]:
    return batch[1], batch[2]


def refused(folder: Path, **loader: Any) -> str:
    """On a rank: what a resume says that cannot go on."""
    cut = folder / "cut.pth"
    with pytest.raises(StateError) as caught:
        parts(folder, "default", None, loader=loader, load_from=cut, resume=True)
    return str(caught.value)


def not_exact(folder: Path) -> str:
    """On a rank: what ``resume="exact"`` says of another number of ranks."""
    with pytest.raises(InexactResumeError) as caught:
        parts(folder, "default", None, load_from=folder / "cut.pth", resume="exact")
    return str(caught.value)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_two_ranks_one_and_two_again(kind: str) -> None:
    """As two ranks all along: the same samples, moved alike, rates, steps; weights."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        resume = {"load_from": folder / "cut.pth", "resume": True}
        (whole, weights, _), *_ = run_ranks(parts, 2, folder, kind, None)
        run_ranks(parts, 2, folder, kind, 3)  # inside an accumulation window
        seen, _, phase = parts(folder, kind, 5, **resume)
        assert (len(seen), phase) == (5, "interrupted")
        found = run_ranks(_resumed, 2, folder, kind)
        for seen, mine, phase in found:
            assert phase == "finished"
            assert seen == whole
            assert mine == pytest.approx(weights, rel=1e-5, abs=1e-6)


def _resumed(folder: Path, kind: str) -> Any:
    return parts(folder, kind, None, load_from=folder / "cut.pth", resume=True)


def test_what_would_not_be_the_same_is_refused() -> None:
    """With the numbers of ranks and batch sizes that would do."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_ranks(parts, 2, folder, "default", 3)
        told = refused(folder, batch_size=2)
        assert "saved by 2 ranks with batches of 2" in told
        assert "go on with 1 rank with batches of 2" in told
        assert "1 rank with batches of 4; 2 ranks with batches of 2; 4 ranks" in told
        told = refused(folder, dataset=Noisy(11))
        assert "over 11 samples (it had 10)" in told
        assert "it was saved by 2 ranks and goes on with one process" in not_exact(
            folder
        )
