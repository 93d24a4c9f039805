"""What do repeatable augmentation and a resume deep inside huge data cost?

Three questions. What does it cost per sample and per batch that random numbers follow
from a sample's place (``randomness="sample"``, ``"batch"``, ``"off"``)? How long does
the first step of a resumed run take at iteration 10² and at 10⁶ of a pass over 10⁷
samples, and how many samples are fetched for it? What does it take to find a place in
10⁹ samples? Each with nothing else in the way: samples are small tensors.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from engine.dataset import (
    DefaultSampler,
    IndexShuffleSampler,
    index_shuffle,
    open_cursor,
)
from engine.loops import TrainEngine
from engine.state import RunState
from engine.version import __version__

BATCH = 10
WARMUP = 20  # batches of a pass before its clock starts: more than are fetched ahead
SETTINGS = ("off", "off, once more", "batch", "sample")


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


def per_batch(loader: DataLoader[Any], randomness: Any, batches: int) -> float:
    """Seconds a batch, once the pass is under way.

    Its start is left out: an order is made there, and workers are, which takes longer
    than what is asked about.
    """
    cursor = open_cursor(loader, seed=0, randomness=randomness)
    reading = cursor.read(0, 0)
    for _ in range(WARMUP):
        next(reading)
    begin = time.perf_counter()
    for _ in range(batches):
        next(reading)
    took = time.perf_counter() - begin
    for _ in reading:  # the rest: a worker that is left alone would hold up the next
        pass
    cursor.close()
    return took / batches


def cost_of_randomness(batches: int, rounds: int) -> dict[str, Any]:
    """µs a batch of each setting, for three datasets, turn by turn.

    Costs are differences to ``off`` in the same round; that of ``off`` once more says
    what the others are worth.
    """
    size = BATCH * (WARMUP + batches)
    loaders: dict[str, DataLoader[Any]] = {
        "own dataset": DataLoader(Numbers(size), BATCH),
        "own dataset, 1 worker": DataLoader(Numbers(size), BATCH, num_workers=1),
        "TensorDataset": DataLoader(TensorDataset(torch.arange(size)), BATCH),
        "TensorDataset, 1 worker": DataLoader(
            TensorDataset(torch.arange(size)), BATCH, num_workers=1
        ),
    }
    found: dict[str, Any] = {}
    for name, loader in loaders.items():
        times: dict[str, list[float]] = {setting: [] for setting in SETTINGS}
        order = [*SETTINGS]
        for number in range(rounds + 1):
            for setting in order:
                taken = per_batch(loader, setting.split(",")[0], batches)
                if number:  # the first round warms up
                    times[setting].append(1e6 * taken)
            order.append(order.pop(0))
        off = times["off"]
        found[name] = {
            setting: {
                "us a batch": spread(one),
                "more": spread([a - b for a, b in zip(one, off, strict=True)]),
            }
            for setting, one in times.items()
        }
    return found


def resumed(data: Numbers, sampler: Any, file: Path) -> dict[str, float]:
    """Seconds of a resume: to load the checkpoint, and then to the first step's batch.

    The trainer is new, as in a new process; the samples that it fetched are counted.
    """
    data.fetched = 0
    trainer = make_trainer(file.parent)
    begin = time.perf_counter()
    trainer.resume(file)
    loaded = time.perf_counter()
    with contextlib.suppress(Enough):
        trainer.run(loader_of(data, sampler), max_epochs=2)
    return {
        "load": loaded - begin,
        "first step": trainer.began - loaded,  # type: ignore[attr-defined]
        "fetched": data.fetched,
    }


class Enough(Exception):  # noqa: N818  # no error: the first step has come
    """Ends a run at its first step."""


class FirstStep(TrainEngine):
    """A trainer that notes when its first step begins, and ends there."""

    began = 0.0


def make_trainer(folder: Path) -> FirstStep:
    """One that stops at its first step."""

    def step(trainer: Any, _: Any) -> None:
        trainer.began = time.perf_counter()
        raise Enough

    trainer = FirstStep(step, RunState(seed=0), work_dir=folder)
    trainer.track(model=torch.nn.Linear(2, 1))
    return trainer


def loader_of(data: Numbers, sampler: Any) -> DataLoader[Any]:
    """Batches in shuffled order."""
    if sampler is None:
        return DataLoader(data, BATCH, shuffle=True)
    return DataLoader(data, BATCH, sampler=sampler(data))


def saved_at(iteration: int, folder: Path) -> Path:
    """The checkpoint of a run that stands at an iteration of its first pass."""
    trainer = make_trainer(folder)
    progress = trainer.run_state.progress
    progress.iteration = progress.epoch_iteration = progress.pass_batch = iteration
    progress.samples = iteration * BATCH
    return Path(trainer.save_checkpoint(folder / f"iter_{iteration}.pth"))


def resumes(
    length: int, iterations: list[int], rounds: int, folder: Path
) -> dict[str, Any]:
    """A resume at each iteration, for each pure sampler, turn by turn."""
    samplers = {
        "shuffle=True": None,
        "DefaultSampler": DefaultSampler,
        "IndexShuffleSampler": IndexShuffleSampler,
    }
    files = {one: saved_at(one, folder) for one in iterations}
    data = Numbers(length)
    found: dict[str, Any] = {}
    for name, sampler in samplers.items():
        times: dict[int, list[dict[str, float]]] = {one: [] for one in iterations}
        order = [*iterations]
        for number in range(rounds + 1):
            for iteration in order:
                one = resumed(data, sampler, files[iteration])
                if number:
                    times[iteration].append(one)
            order.reverse()
        early, late = (
            [one["first step"] for one in times[at]]
            for at in (iterations[0], iterations[-1])
        )
        found[name] = {
            "load": {
                str(at): spread([one["load"] for one in all_])
                for at, all_ in times.items()
            },
            "first step": {
                str(at): spread([one["first step"] for one in all_])
                for at, all_ in times.items()
            },
            "late / early": spread([b / a for a, b in zip(early, late, strict=True)]),
            "fetched": sorted(
                {one["fetched"] for all_ in times.values() for one in all_}
            ),
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


def described(one: dict[str, float], form: str) -> str:
    """Median and quartiles, readable."""
    low, middle, high = (format(one[key], form) for key in ("low", "median", "high"))
    return f"{middle}  ({low} .. {high})"


def main() -> None:
    """Measure, print the tables and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, for tests")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    length = 10**5 if quick else 10**7
    late = length // BATCH - 1 if quick else 10**6 - 1
    with tempfile.TemporaryDirectory() as name:
        first_steps = resumes(length, [100, late], 2 if quick else 9, Path(name))
    summary: dict[str, Any] = {
        "benchmark": "data",
        "quick": quick,
        "engine": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "device": "cpu",
        "load": round(os.getloadavg()[0], 2),
        "batch": BATCH,
        "samples": length,
        "resume": first_steps,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "randomness": cost_of_randomness(10 if quick else 1000, 2 if quick else 15),
        "place in 10**9, us": {
            str(count): place(10**9, count, 50 if quick else 2000)
            for count in (1, 32, 256)
        },
    }
    print(f"engine {__version__}, torch {torch.__version__}, 1 thread, CPU")
    for name, settings in summary["randomness"].items():
        rows = [
            (
                f"randomness={setting!r}",
                (
                    f"{described(one['us a batch'], '.1f'):<30}"
                    f"{described(one['more'], '+.1f')}"
                ),
            )
            for setting, one in settings.items()
        ]
        show(f"{name}, batches of {BATCH}: µs a batch, and more than 'off'", rows)
    for name, one in first_steps.items():
        rows = [
            (f"{part}, at iteration {at}", described(took, ".4f"))
            for part in ("load", "first step")
            for at, took in one[part].items()
        ]
        rows.append(("first step, late / early", described(one["late / early"], ".2f")))
        rows.append(("samples fetched", str(one["fetched"])))
        show(f"{name} over {length:,} samples: seconds of a resume", rows)
    rows = [
        (f"{count} places", described(one, ".1f"))
        for count, one in summary["place in 10**9, us"].items()
    ]
    show("IndexShuffleSampler's order of 10**9: µs", rows)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
