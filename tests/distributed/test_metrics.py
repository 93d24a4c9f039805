"""Metrics over two ranks: each sample counts once, padding does not count."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from typing import TYPE_CHECKING, Any

import ignite.metrics
import pytest
import torch
from torch import distributed
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy

from engine.dist import get_dist_info
from engine.evaluator import BaseMetric, DumpResults, Evaluator, IgniteMetric
from engine.loops import EvalEngine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

RANKS, CLASSES = 2, 3
SIZES = (11, 1)  # with one sample, rank 1 has nothing but padding


class Numbers(BaseMetric):
    """The samples, in order."""

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        del data_samples
        self.results += data_batch["number"].tolist()

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        assert get_dist_info()[0] == 0, "one rank computes"
        return {"numbers": results}


def data(size: int) -> tuple[Tensor, Tensor]:
    """Scores and targets of all samples."""
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(size, CLASSES, generator=generator)
    return scores, torch.randint(CLASSES, (size,), generator=generator)


class Loader:
    """One rank's batches, padded by the first samples, as a sampler pads."""

    def __init__(self, size: int, rank: int, world: int) -> None:
        numbers = list(range(size)) + [0] * (-size % world)
        self.mine = numbers[rank::world]
        self.dataset = range(size)

    def __len__(self) -> int:
        return (len(self.mine) + 1) // 2

    def __iter__(self) -> Any:
        scores, targets = data(len(self.dataset))
        for start in range(0, len(self.mine), 2):
            number = torch.tensor(self.mine[start : start + 2])
            batch = {"score": scores[number], "target": targets[number]}
            yield {**batch, "number": number}


def evaluate(folder: Path, size: int) -> dict[str, Any]:
    """One pass; whatever the number of ranks."""
    rank, world = get_dist_info()
    evaluator = Evaluator(
        [
            Numbers(),
            Numbers(prefix="files", collect_dir=str(folder / "parts")),
            ignite.metrics.Accuracy(),
            ignite.metrics.ConfusionMatrix(CLASSES),
            MulticlassAccuracy(CLASSES, average="micro"),
            DumpResults(folder / f"results_{world}.pkl"),
        ]
    )
    engine = EvalEngine(step, metrics=evaluator)
    engine.run(Loader(size, rank, world))
    return dict(engine.metrics)


def step(_: Any, batch: Any) -> list[Any]:
    """What ``StepModel`` returns."""
    return [{"outputs": batch["score"], "targets": batch["target"]}]


def in_part() -> dict[str, Any]:
    """The first eight samples: the dataset does not tell how many there are."""
    rank, world = get_dist_info()
    engine = EvalEngine(step, metrics=Evaluator(Numbers(prefix="in part")))
    engine.run(Loader(SIZES[0], rank, world), epoch_length=4 // world)
    return dict(engine.metrics)


def unshared() -> dict[str, Any]:
    """Each rank reads all of a loader that knows nothing of ranks."""
    scores, targets = data(SIZES[0])
    samples = [{"score": scores[n], "target": targets[n]} for n in range(SIZES[0])]
    loader: Any = DataLoader(samples, batch_size=2)  # type: ignore[arg-type]  # a list is a dataset
    loss = ignite.metrics.Loss(torch.nn.functional.cross_entropy)
    engine = EvalEngine(step, metrics=Evaluator(IgniteMetric(loss, prefix="unshared")))
    engine.run(loader)
    return dict(engine.metrics)


def everything(folder: Path) -> list[dict[str, Any]]:
    """All evaluations, in order."""
    return [*[evaluate(folder, size) for size in SIZES], in_part(), unshared()]


def on_rank(rank: int, folder: Path) -> None:
    """What a process does."""
    os.environ["LOCAL_RANK"] = str(rank)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=RANKS
    )
    try:
        found = everything(folder)
        (folder / f"rank_{rank}.pkl").write_bytes(pickle.dumps(found))
    finally:
        distributed.destroy_process_group()


@pytest.mark.distributed
@pytest.mark.filterwarnings("ignore:.*multi-threaded")
def test_two_ranks_compute_what_one_does(tmp_path: Path) -> None:
    """Ours by their results, Ignite's and torchmetrics' by their own states."""
    wanted = everything(tmp_path)
    assert [one["numbers"] for one in wanted[:2]] == [[*range(size)] for size in SIZES]
    assert wanted[2]["in part/numbers"] == list(range(8))
    forked = multiprocessing.get_context("fork")  # what spawns imports torch anew
    ranks = [
        forked.Process(target=on_rank, args=(rank, tmp_path)) for rank in range(RANKS)
    ]
    for one in ranks:
        one.start()
    for one in ranks:
        one.join()
    assert [one.exitcode for one in ranks] == [0] * RANKS
    for rank in range(RANKS):
        of_rank = pickle.loads((tmp_path / f"rank_{rank}.pkl").read_bytes())  # noqa: S301 - written a moment ago
        for alone, found in zip(wanted, of_rank, strict=True):
            assert set(found) == set(alone)
            for key, value in alone.items():
                same = torch.equal(torch.as_tensor(found[key]), torch.as_tensor(value))
                assert same, f"{key} on rank {rank}: {found[key]}, not {value}"
    assert [*(tmp_path / "parts").iterdir()] == []
    assert (tmp_path / "results_2.pkl").exists()
