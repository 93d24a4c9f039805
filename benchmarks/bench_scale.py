"""What grows with the number of ranks? 1,024 of them, simulated in one process.

    python benchmarks/bench_scale.py [--quick] [--ranks N]

Each rank's own work is done here for some of the ranks, one after the other, and rank
0's for all of them: finding its samples, capturing and comparing what it has for
itself, taking in what the others have, writing and reading the one checkpoint. What
goes over a network is told in bytes, not in seconds. The last line printed is JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import pickle
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from engine import TrainEngine
from engine.checkpoint.ranks import entries, of_rank, patch_of
from engine.checkpoint.retention import choose
from engine.dataset import DefaultSampler, IndexShuffleSampler
from engine.hooks import EMAHook, LoggerHook, RuntimeInfoHook
from engine.loops import council
from engine.state import RunState, seed_everything

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES, BATCH = 1_000_000, 32
SIMULATED = 16  # ranks whose work is done; the others' is like theirs


def timed(function: Callable[[], Any], times: int = 5) -> float:
    """Median seconds of some calls."""
    took = []
    for _ in range(times):
        began = perf_counter()
        function()
        took.append(perf_counter() - began)
    return statistics.median(took)


def order(ranks: int, samples: int) -> dict[str, float]:
    """What a rank pays to find its samples: at the start, in an epoch, for a batch."""
    found = {}
    for kind in (DefaultSampler, IndexShuffleSampler):
        with mock.patch(
            "engine.dataset.sampler.get_dist_info", return_value=(ranks - 1, ranks)
        ):
            sampler = kind(range(samples))
        middle = len(sampler) // 2
        epochs = iter(range(1000))

        def first(
            sampler: Any = sampler, middle: int = middle, epochs: Any = epochs
        ) -> Any:
            return sampler.indices_at(next(epochs), middle, BATCH, seed=0)

        name = kind.__name__
        found[f"{name}, first batch of an epoch, ms"] = timed(first) * 1e3
        found[f"{name}, any other batch, us"] = (
            timed(lambda s=sampler, m=middle: s.indices_at(4, m, BATCH, seed=0)) * 1e6
        )
    return found


def run(rank: int) -> tuple[TrainEngine, nn.Module]:
    """A small run as one rank has it, some iterations on."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.Linear(64, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    generator = torch.Generator().manual_seed(rank)

    def step(_: object, __: object) -> dict[str, torch.Tensor]:
        optimizer.zero_grad()
        loss = model(torch.randn(8, 64, generator=generator)).square().mean()
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach()}

    folder = tempfile.mkdtemp()
    trainer = TrainEngine(step, RunState(seed=0), work_dir=folder)
    trainer.track(model=model, optimizer=optimizer)
    for hook in (RuntimeInfoHook(), LoggerHook(), EMAHook()):
        trainer.add_hook(hook)
    trainer.context.facilities["logger"] = mock.MagicMock()
    seed_everything(rank)
    trainer.run([None] * 30, max_epochs=1)
    return trainer, model


def checkpoints(ranks: int) -> dict[str, float]:
    """What saving and resuming cost: each rank, and rank 0 for all of them."""
    own = []
    for rank in range(SIMULATED):
        trainer, model = run(rank)
        own.append((trainer.capture_checkpoint(), model))
    reduced = [{id(one) for one in model.parameters()} for _, model in own]
    found = [
        entries(checkpoint, model, reduced=ids)
        for (checkpoint, model), ids in zip(own, reduced, strict=True)
    ]
    main = found[0][1]
    patches = [patch_of(leaves, digests, main) for leaves, digests in found]
    (checkpoint, model), ids = own[1], reduced[1]
    sent = [pickle.dumps(one) for one in patches]
    each = statistics.median(len(one) for one in sent[1:])

    def take_in() -> list[Any]:
        return [pickle.loads(sent[n % SIMULATED]) for n in range(ranks)]  # noqa: S301

    def size(tree: Any) -> int:
        file = io.BytesIO()
        torch.save(tree, file)
        return file.tell()

    checkpoint0 = own[0][0]
    alone = size(checkpoint0)
    taken = take_in()  # as many tensors as ranks have, none of them shared
    checkpoint0["engine"]["ranks"] = {"format": 1, "patches": taken}
    together = size(checkpoint0)
    with (
        mock.patch("engine.checkpoint.ranks.get_world_size", return_value=ranks),
        mock.patch("engine.checkpoint.ranks.get_rank", return_value=ranks - 1),
    ):
        becoming = timed(lambda: of_rank(checkpoint0))
    return {
        "digests and patch of a rank, ms": 1e3
        * timed(lambda: patch_of(*entries(checkpoint, model, reduced=ids), main)),
        "digests of rank 0, bytes to each": len(pickle.dumps(main)),
        "patch of a rank, bytes to rank 0": each,
        "rank 0 takes all patches in, ms": timed(take_in, 3) * 1e3,
        "file, KiB alone": alone / 1024,
        "file, KiB with all ranks": together / 1024,
        "file written, ms": timed(lambda: size(checkpoint0), 3) * 1e3,
        "becoming one of the ranks, ms": becoming * 1e3,
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few ranks: for tests")
    parser.add_argument("--ranks", type=int, default=1024)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ranks = 32 if options.quick else options.ranks
    samples = SAMPLES // 100 if options.quick else SAMPLES
    figures = {
        **order(ranks, samples),
        **checkpoints(ranks),
        "exchange at a safe point, bytes": 4 * len(council._KINDS),  # noqa: SLF001
        "retention of 1,000 files, ms": 1e3
        * timed(lambda: choose([f"epoch_{n}.pth" for n in range(1000)], 3)),
    }
    print(f"{ranks} ranks, {samples} samples")
    for name, value in figures.items():
        print(f"  {name:<52}{value:>14,.2f}")
    summary = {
        "benchmark": "scale",
        "quick": options.quick,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "ranks": ranks,
        "figures": figures,
    }
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
