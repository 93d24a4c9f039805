"""What do repeatable augmentation and a resume deep inside huge data cost?

Three questions. What does it cost per sample and per batch that random numbers follow
from a sample's place (``randomness="sample"``, ``"batch"``, ``"off"``)? How long does
the first batch of a cursor take at iteration 10² and at 10⁶ of a pass over 10⁷ samples,
and how many samples are fetched for it? What does it take to find a place in 10⁹
samples? Each with nothing else in the way: samples are small tensors.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import time
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from engine.dataset import (
    DefaultSampler,
    IndexShuffleSampler,
    index_shuffle,
    open_cursor,
)
from engine.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 10
SETTINGS = ("off", "batch", "sample")


class Numbers(Dataset[torch.Tensor]):
    """Numbered samples that are made when they are asked for.

    Args:
        length: How many.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.fetched = 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> torch.Tensor:
        self.fetched += 1
        return torch.tensor(index)


def spread(values: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": middle, "low": low, "high": high}


def per_batch(loader: DataLoader[Any], randomness: Any) -> float:
    """Seconds a batch of one pass."""
    cursor = open_cursor(loader, seed=0, randomness=randomness)
    begin = time.perf_counter()
    count = sum(1 for _ in cursor.read(0, 0))
    return (time.perf_counter() - begin) / count


def cost_of_randomness(batches: int, rounds: int) -> dict[str, Any]:
    """µs a batch of each setting, for three datasets, turn by turn."""
    size = BATCH * batches
    loaders: dict[str, DataLoader[Any]] = {
        "own dataset": DataLoader(Numbers(size), BATCH),
        "own dataset, 1 worker": DataLoader(Numbers(size), BATCH, num_workers=1),
        "TensorDataset": DataLoader(TensorDataset(torch.arange(size)), BATCH),
    }
    found: dict[str, Any] = {}
    for name, loader in loaders.items():
        times: dict[str, list[float]] = {setting: [] for setting in SETTINGS}
        for number in range(rounds + 1):
            for setting in SETTINGS:
                taken = per_batch(loader, setting)
                if number:  # the first round warms up
                    times[setting].append(1e6 * taken)
        found[name] = {setting: spread(one) for setting, one in times.items()}
    return found


def first_batch(sampler: Any, length: int, iteration: int) -> dict[str, Any]:
    """Seconds until a fresh cursor's first batch, and samples fetched for it."""
    data = Numbers(length)
    arguments: dict[str, Any] = {"shuffle": True}
    if sampler is not None:
        arguments = {"sampler": sampler(data)}
    loader = DataLoader(data, BATCH, **arguments)
    begin = time.perf_counter()
    cursor = open_cursor(loader, seed=0)
    next(iter(cursor.read(0, iteration)))
    return {"seconds": time.perf_counter() - begin, "fetched": data.fetched}


def resumes(length: int, iterations: list[int], rounds: int) -> dict[str, Any]:
    """The first batch at each iteration, for each pure sampler, turn by turn."""
    samplers = {
        "shuffle=True": None,
        "DefaultSampler": DefaultSampler,
        "IndexShuffleSampler": IndexShuffleSampler,
    }
    found: dict[str, Any] = {}
    for name, sampler in samplers.items():
        times: dict[int, list[float]] = {one: [] for one in iterations}
        fetched = set()
        for number in range(rounds + 1):
            for iteration in iterations:
                one = first_batch(sampler, length, iteration)
                fetched.add(one["fetched"])
                if number:
                    times[iteration].append(one["seconds"])
        medians = [statistics.median(times[one]) for one in iterations]
        found[name] = {
            "seconds": {str(one): spread(times[one]) for one in iterations},
            "late / early": medians[-1] / medians[0],
            "fetched": sorted(fetched),
        }
    return found


def place(length: int, count: int, rounds: int) -> dict[str, float]:
    """µs to find some places next to each other far inside a computed order."""
    times = []
    for number in range(rounds):
        first = length // 2 + number * count
        begin = time.perf_counter()
        index_shuffle(range(first, first + count), length=length, seed=0, epoch=3)
        times.append(1e6 * (time.perf_counter() - begin))
    return spread(times)


def show(title: str, rows: list[tuple[str, str]]) -> None:
    """A small table."""
    print(f"\n{title}")
    for name, value in rows:
        print(f"  {name:<44}{value}")


def described(one: dict[str, float], form: Callable[[float], str]) -> str:
    """Median and quartiles, readable."""
    return f"{form(one['median'])}  ({form(one['low'])} .. {form(one['high'])})"


def main() -> None:
    """Measure, print the tables and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, for tests")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    rounds = 3 if quick else 15
    length = 10**5 if quick else 10**7
    late = length // BATCH - 1 if quick else 10**6 - 1
    summary: dict[str, Any] = {
        "benchmark": "data",
        "quick": quick,
        "engine": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "device": "cpu",
        "batch": BATCH,
        "samples": length,
        "randomness": cost_of_randomness(20 if quick else 1000, rounds),
        "first batch": resumes(length, [100, late], 2 if quick else 7),
        "place in 10**9, us": {
            str(count): place(10**9, count, 50 if quick else 2000)
            for count in (1, 32, 256)
        },
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(f"engine {__version__}, torch {torch.__version__}, 1 thread, CPU")
    for name, settings in summary["randomness"].items():
        off = settings["off"]["median"]
        rows = [
            (
                f"randomness={setting!r}",
                (
                    f"{described(one, lambda value: f'{value:.1f}')}   "
                    f"{(one['median'] - off) / BATCH:+.2f} a sample"
                ),
            )
            for setting, one in settings.items()
        ]
        show(f"{name}, batches of {BATCH}: µs a batch", rows)
    for name, one in summary["first batch"].items():
        rows = [
            (f"at iteration {at}", described(took, lambda value: f"{value:.4f}"))
            for at, took in one["seconds"].items()
        ]
        rows.append(("late / early", f"{one['late / early']:.2f}"))
        rows.append(("samples fetched", str(one["fetched"])))
        show(f"{name} over {length:,} samples: seconds to the first batch", rows)
    rows = [
        (f"{count} places", described(one, lambda value: f"{value:.1f}"))
        for count, one in summary["place in 10**9, us"].items()
    ]
    show("IndexShuffleSampler's order of 10**9: µs", rows)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
