"""Evaluations of ranks that have more batches than others, or none."""

from __future__ import annotations

import io
import os
import re
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import ignite.metrics
import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, IterableDataset

from engine import Events, TrainEngine
from engine.dataset import DefaultSampler
from engine.dist import get_dist_info, get_rank
from engine.errors import DataError, MetricError, RankFailedError, RunInterrupted
from engine.evaluator import BaseMetric, DumpResults, Evaluator
from engine.logging import build_logger
from engine.loops import EvalEngine
from tests.ranks import run_ranks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.distributed

CLASSES = 3
SIZES = (1, 2, 7)


class Numbers(BaseMetric):
    """The samples that were seen."""

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        del data_samples
        self.results += data_batch["number"].tolist()

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        return {"numbers": sorted(results)}


class Broken(Numbers):
    """Its values cannot be had."""

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        message = f"cannot compute from {len(results)}"
        raise ZeroDivisionError(message)


class Shares(IterableDataset[Any]):
    """All samples whose number is this rank's, dealt unevenly; it has no length."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __iter__(self) -> Iterator[Any]:
        rank, world = get_dist_info()
        owner = [max(0, number % (world + 1) - 1) for number in range(self.size)]
        for number in range(self.size):
            if owner[number] == rank:
                yield sample(number)


def sample(number: int) -> dict[str, Any]:
    """A sample of its own."""
    generator = torch.Generator().manual_seed(number)
    return {
        "number": number,
        "score": torch.rand(CLASSES, generator=generator),
        "target": number % CLASSES,
    }


def listed(size: int, *, round_up: bool = False) -> DataLoader[Any]:
    """A dataset that ranks share."""
    whole: Any = [sample(number) for number in range(size)]
    shares = DefaultSampler(whole or [0], shuffle=False, round_up=round_up)
    return DataLoader(whole, batch_size=2, sampler=shares if whole else None)


def values(data: Any, folder: Path) -> dict[str, Any]:
    """What all kinds of metrics compute of some data."""
    _, world = get_dist_info()
    evaluator = Evaluator(
        [
            Numbers(),
            Numbers(prefix="gpu", collect_device="gpu"),
            Numbers(prefix="files", collect_dir=str(folder / "parts")),
            ignite.metrics.Accuracy(),
            ignite.metrics.ConfusionMatrix(CLASSES),
            DumpResults(folder / f"results_{world}.pkl"),
        ]
    )
    engine = EvalEngine(
        lambda _, batch: [{"outputs": batch["score"], "targets": batch["target"]}],
        metrics=evaluator,
    )
    engine.run(data)
    return {name: torch.as_tensor(one).tolist() for name, one in engine.metrics.items()}


def all_values(folder: Path) -> list[dict[str, Any]]:
    """On a rank: of each size, of each kind of data."""
    return [
        values(data, folder)
        for size in SIZES
        for data in (
            DataLoader(Shares(size), batch_size=2),
            listed(size),
            listed(size, round_up=True),
        )
    ]


def test_uneven_shares_have_the_values_of_one_process(tmp_path: Path) -> None:
    """Of datasets smaller than the world, too; by every way that results meet."""
    alone = all_values(tmp_path)
    numbers = [one["numbers"] for one in alone]
    assert numbers == [[*range(size)] for size in SIZES for _ in range(3)]
    for found in run_ranks(all_values, 3, tmp_path):
        assert found == alone


def cut_short() -> list[Any]:
    """On a rank: what is seen when one rank ends an evaluation."""
    rank, _ = get_dist_info()
    found: list[Any] = []
    for length, asks, batch in ((4, 0, 2), (9, 0, 1), (3, 1, 3), (8, 1, 2)):
        seen: list[Any] = []
        validator = EvalEngine(lambda *_: [torch.zeros(1)], metrics=Evaluator(Broken()))
        validator.add_event_handler(
            Events.EPOCH_COMPLETED, lambda seen=seen: seen.append("epoch")
        )
        validator.add_event_handler(
            Events.COMPLETED, lambda seen=seen: seen.append("completed")
        )
        if rank == asks:
            validator.add_event_handler(
                Events.ITERATION_COMPLETED(once=batch), validator.terminate
            )
        data = [{"number": torch.tensor([rank])}] * (length if rank == 0 else 5)
        validator.run(data)
        found.append([*seen, validator.metrics])
    return found


def test_a_rank_that_terminates_ends_it_for_all() -> None:
    """Without metrics, as in a process alone, whoever has more batches left."""
    assert run_ranks(cut_short, 2) == [[["completed", {}]] * 4] * 2


def errors() -> list[str]:
    """On a rank: what it is told of evaluations that cannot be."""
    rank, _ = get_dist_info()
    found = []

    def told(run: Callable[[], object], *kinds: type[Exception]) -> None:
        with pytest.raises(kinds) as caught:
            run()
        found.append(f"{type(caught.value).__name__}: {caught.value}")

    def evaluate(metric: Any, size: int) -> None:
        EvalEngine(
            lambda _, batch: [{"outputs": batch["score"], "targets": batch["target"]}],
            metrics=Evaluator(metric),
        ).run(listed(size))

    told(lambda: evaluate(Broken(), 5), ZeroDivisionError, RankFailedError)
    told(lambda: evaluate(Numbers(), 0), DataError)
    every = ignite.metrics.EpochMetric(lambda one, _: float(len(one)))
    told(lambda: evaluate(every, 1), MetricError)
    told(lambda: evaluate(ignite.metrics.MeanSquaredError(), 0), DataError)
    weights = nn.Linear(1, 1)
    vars(weights.weight)["device_mesh"] = None  # as those that lie over ranks
    validator = EvalEngine(lambda *_: None, model=weights)
    told(lambda: validator.run([1] * rank), DataError)
    return found


def test_what_cannot_be_evaluated_is_told_on_every_rank() -> None:
    """None of them waits for another one that has raised."""
    one, other = run_ranks(errors, 2)
    assert one[0] == "ZeroDivisionError: cannot compute from 5"
    assert other[0] == f"RankFailedError: rank 0 failed: {one[0]}"
    assert one[1:4] == other[1:4]
    assert "gives no batch" in one[1]
    assert "EpochMetric keeps all predictions and needs some on each rank" in one[2]
    assert "1 of 2 ranks have a batch to evaluate, and rank 0 has none" in one[4]
    assert "rank 1 has one" in other[4]


def note(seen: list[int], _: object, batch: int) -> None:
    """A step that remembers what it saw."""
    seen.append(batch)


def left(folder: Path) -> list[Any]:
    """On a rank: batches seen when rank 1 gets a signal, by where it comes."""
    rank = get_rank()
    found: list[Any] = []
    for batch in range(1, 6):
        for lengths in ((3, 4), (4, 3), (3, 8), (8, 3)):
            seen: list[int] = []
            trainer = TrainEngine(lambda *_: None, work_dir=folder)
            validator = EvalEngine(partial(note, seen))
            trainer.validate_with(validator, range(lengths[rank]))
            if rank == 1:
                validator.add_event_handler(
                    Events.ITERATION_COMPLETED(once=batch),
                    lambda: os.kill(os.getpid(), signal.SIGTERM),
                )
            try:
                trainer.run(range(2))
            except RunInterrupted:
                found.append(("left", len(seen)))
            else:
                found.append(("whole", len(seen)))
    return found


def test_a_signal_at_any_batch_leaves_no_rank_behind(tmp_path: Path) -> None:
    """All leave at one batch while all have more; else when all are done."""
    one, other = run_ranks(left, 2, tmp_path)
    assert [kind for kind, _ in one] == [kind for kind, _ in other]
    for mine, theirs in zip(one, other, strict=True):
        assert mine[1] == theirs[1] or min(mine[1], theirs[1]) == 3


def kept_up() -> list[Any]:
    """On a rank: forwards of a model that needs all ranks in each, by data's length."""
    rank, _ = get_dist_info()
    found = []
    for lengths in ((2, 5), (4, 1), (3, 3)):
        model = nn.Linear(1, 1)
        vars(model.weight)["device_mesh"] = None  # as those that lie over ranks
        for data in ([*range(lengths[rank])], iter(range(lengths[rank]))):
            together: list[int] = []

            def step(_: Any, batch: int, together: list[int] = together) -> None:
                del batch
                number = torch.ones(1)
                torch.distributed.all_reduce(number)
                together.append(int(number))

            validator = EvalEngine(step, model=model)
            validator.run(data)
            found.append((len(together), validator.state.iteration, together[-1]))
    return found


def test_ranks_keep_up_with_forwards_that_need_them_all() -> None:
    """A rank that is done evaluates its last batch again, and counts it once."""
    one, other = run_ranks(kept_up, 2)
    assert [forwards for forwards, *_ in one] == [5, 5, 4, 4, 3, 3]
    assert [forwards for forwards, *_ in other] == [5, 5, 4, 4, 3, 3]
    assert [count for _, count, _ in one] == [2, 2, 4, 4, 3, 3]
    assert [count for _, count, _ in other] == [5, 5, 1, 1, 3, 3]


def broadcast() -> list[Any]:
    """On a rank: evaluations by a step that calls DDP's wrapper, between steps."""
    rank, _ = get_dist_info()
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    batch = torch.randn(4, 2) + rank
    found = []
    for lengths in ((2, 5), (0, 3), (3, 0), (4, 4)):
        for _ in range(2):
            model(batch).square().sum().backward()
        validator = EvalEngine(lambda *_: model(batch), model=model)
        validator.run([0] * lengths[rank])
        found.append(validator.state.iteration)
    model(batch)
    model.eval()
    model(batch)  # with rank 0's
    return [*found, [one.tolist() for one in model.buffers()]]


def test_a_wrapper_that_broadcasts_buffers_waits_for_nobody() -> None:
    """A rank without a batch has no forward to take part by; nor do steps part."""
    one, other = run_ranks(broadcast, 2)
    assert [one[:4], other[:4]] == [[2, 0, 3, 4], [5, 3, 0, 4]]
    assert one[4] == other[4]


def told_of_training_data() -> list[str]:
    """On a rank: what the log says of data that ranks share, or do not."""
    found = []
    numbers: Any = [*range(8)]
    for data in (
        listed(8),
        DataLoader(numbers),
        DataLoader(Shares(8), batch_size=None),
        [1, 2],
    ):
        console = io.StringIO()
        trainer = TrainEngine(
            lambda *_: None,
            facilities={"logger": build_logger("told", console=console)},
        )
        trainer.run(data, max_iters=2)
        remarks = re.findall("Each rank (reads all|trains on all)", console.getvalue())
        found.append(", ".join(remarks))
    return found


def test_data_that_ranks_may_not_share_is_told_of() -> None:
    """A loader that nobody has divided, and what only itself can divide."""
    told = ["", "reads all", "trains on all", "trains on all"]
    assert run_ranks(told_of_training_data, 2)[0] == told
    assert told_of_training_data() == [""] * 4
