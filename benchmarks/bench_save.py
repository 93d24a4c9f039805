"""What does a save cost: training's wait, time until it is durable, memory?

A model and its Adam state of a given size are saved by ``CheckpointHook`` in the
background and in the foreground. What the background one blocks training for is
compared with one copy of the same tensors into buffers that are there already; the
foreground one with ``torch.save`` to a file and an fsync. They take turns, so that what
else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from engine import CheckpointHook, RunState, TrainEngine
from engine.checkpoint import Store
from engine.state import DueKind

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 1024
LIMITS = {"blocked": 1.3, "memory": 1.0, "foreground": 1.2}


def build(size_bytes: int, folder: Path, *, background: bool) -> TrainEngine:
    """A trainer whose state has about that size: weights and two moments of each."""
    layers = max(size_bytes // (3 * 4 * WIDTH * WIDTH), 1)
    model = nn.Sequential(*(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(layers)))
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    trainer = TrainEngine(lambda *_: {}, RunState(seed=0), work_dir=folder)
    trainer.track(model=model, optimizer=optimizer)
    hook = CheckpointHook(background=background, max_keep_ckpts=1)
    trainer.add_hook(hook)
    return trainer


def tensors(checkpoint: dict[str, Any]) -> list[torch.Tensor]:
    """The large ones of a checkpoint."""
    moments = checkpoint["optimizer"]["state"].values()
    return [
        *checkpoint["state_dict"].values(),
        *(one[key] for one in moments for key in ("exp_avg", "exp_avg_sq")),
    ]


def timed(action: Callable[[], object]) -> float:
    """Seconds that it takes, with nothing of before left to write."""
    os.sync()
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def plain_save(checkpoint: dict[str, Any], path: Path) -> None:
    """What everyone would write by hand."""
    torch.save(checkpoint, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def resident() -> int:
    """This process's memory now, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def pay(trainer: TrainEngine, number: int) -> None:
    """Let the hook save, as at a safe point."""
    hook = trainer.context.hook_set.hooks[0]
    trainer.context.owe(DueKind.SAVE, hook, f"iter_{number}.pth")
    due = trainer.run_state.due.pop()
    hook.pay(trainer.context, due)


def finish(trainer: TrainEngine) -> None:
    """Wait until what is in flight is durable."""
    hook = trainer.context.hook_set.hooks[0]
    hook.after_run(trainer.context)


def measure(size_bytes: int, rounds: int, folder: Path) -> dict[str, Any]:
    """All figures for one size."""
    trainer = build(size_bytes, folder / "background", background=True)
    live = tensors(trainer.capture_checkpoint())
    size = sum(one.nbytes for one in live)
    buffers = [torch.empty_like(one).copy_(one) for one in live]
    path = folder / "plain.pth"
    store = Store(folder / "foreground")
    times: dict[str, list[float]] = {
        name: [] for name in ("copy", "blocked", "durable", "plain", "foreground")
    }

    def copy() -> None:
        for buffer, one in zip(buffers, live, strict=True):
            buffer.copy_(one)

    for number in range(rounds + 1):
        round_: dict[str, float] = {"copy": timed(copy)}
        round_["blocked"] = timed(functools.partial(pay, trainer, number))
        start = time.perf_counter()
        finish(trainer)
        round_["durable"] = round_["blocked"] + time.perf_counter() - start
        checkpoint = trainer.capture_checkpoint()
        path.unlink(missing_ok=True)
        round_["plain"] = timed(functools.partial(plain_save, checkpoint, path))
        store.drop("a.pth")
        round_["foreground"] = timed(
            functools.partial(store.write, "a.pth", checkpoint)
        )
        if number:  # the first one makes the buffers and warms the disk's cache
            for name, seconds in round_.items():
                times[name].append(seconds)
    ratios = {
        "blocked": _ratio(times["blocked"], times["copy"]),
        "foreground": _ratio(times["foreground"], times["plain"]),
    }
    return {
        "size_bytes": size,
        "seconds": {name: statistics.median(some) for name, some in times.items()},
        "ratios": ratios,
    }


def _ratio(ours: list[float], theirs: list[float]) -> list[float]:
    """Quartiles of the rounds' ratios."""
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    if len(each) == 1:
        return each * 3
    return statistics.quantiles(each, n=4, method="inclusive")


def measure_memory(size_bytes: int, *, background: bool) -> float:
    """Peak of the memory that saves take, over the state's size."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        trainer = build(size_bytes, Path(folder), background=background)
        size = sum(one.nbytes for one in tensors(trainer.capture_checkpoint()))
        pay_small(trainer)
        gc.collect()
        before = resident()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        for number in range(3):
            pay(trainer, number)
            finish(trainer)
        status = Path("/proc/self/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    return (peak - before) / size


def pay_small(trainer: TrainEngine) -> None:
    """Import and warm what a save needs, without its size."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        Store(folder).write("a.pth", {"small": torch.zeros(1), "meta": {}})
    trainer.capture_checkpoint()


def in_a_process(size_bytes: int, *, background: bool) -> float:
    """The same, where nothing else has left free memory behind."""
    how = "background" if background else "foreground"
    done = subprocess.run(
        [sys.executable, __file__, "--memory", how, "--bytes", str(size_bytes)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def report(rows: list[dict[str, Any]]) -> None:
    """Print the tables."""
    print(f"{'state':>8} {'copy':>8} {'blocked':>8} {'durable':>8} ", end="")
    print(f"{'torch.save+fsync':>17} {'foreground':>11}   seconds, medians")
    for row in rows:
        seconds = row["seconds"]
        print(f"{row['size_bytes'] / 1e9:>6.2f}GB", end="")
        for name, width in zip(seconds, (9, 9, 9, 18, 12), strict=True):
            print(f"{seconds[name]:>{width}.3f}", end="")
        print()
    print()
    for row in rows:
        for name, of in (("blocked", "one copy"), ("foreground", "torch.save + fsync")):
            low, middle, high = row["ratios"][name]
            verdict = "pass" if middle <= LIMITS[name] else "FAIL"
            print(
                f"{row['size_bytes'] / 1e9:.2f} GB: {name} / {of}: {middle:.2f} "
                f"({low:.2f} .. {high:.2f}), budget {LIMITS[name]}: {verdict}"
            )
        for how, value in row["memory"].items():
            limit = LIMITS["memory"] if how == "background" else 0.0
            verdict = "pass" if value <= limit + 0.05 else "FAIL"
            print(
                f"{row['size_bytes'] / 1e9:.2f} GB: extra memory, {how}: {value:.2f} "
                f"of the state, budget {limit:.0f}: {verdict}"
            )


def main() -> None:
    """Measure and print; a JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, once: for tests")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", choices=["background", "foreground"])
    parser.add_argument("--bytes", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.memory:
        print(
            measure_memory(arguments.bytes, background=arguments.memory == "background")
        )
        return
    sizes = [30_000_000] if arguments.quick else [300_000_000, 1_000_000_000]
    rounds = 1 if arguments.quick else arguments.rounds
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            row = measure(size, rounds, Path(folder))
        row["memory"] = {
            how: in_a_process(size, background=how == "background")
            for how in ("background", "foreground")
        }
        rows.append(row)
    report(rows)
    facts = {
        "benchmark": "save",
        "quick": arguments.quick,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "rows": rows,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
