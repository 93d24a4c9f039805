"""What does a save under FSDP2 cost: training's wait, and time until it is durable?

Two ranks hold a model and its Adam state of a given size, each its part. What a save
in the background blocks training for is compared with one copy of the same tensors
into buffers that are there already, and with torch's ``async_save``; the time until
all is durable with ``save`` of ``torch.distributed.checkpoint``. They take turns, so
that what else the machine does falls on all of them. A round's time is that of the
slower rank.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed, nn
from torch.distributed import checkpoint as dcp

from engine import CheckpointHook, RunState, TrainEngine
from engine.checkpoint import map_leaves
from engine.state import DueKind
from engine.strategies import FSDP2Strategy

if TYPE_CHECKING:
    from collections.abc import Callable

RANKS = 2
WIDTH = 1024
LIMIT = 1.3


def build(size_bytes: int, folder: Path) -> TrainEngine:
    """A trainer whose state has about that size on all ranks together."""
    layers = max(size_bytes // (3 * 4 * WIDTH * WIDTH), 1)
    strategy = FSDP2Strategy(classes="Linear")
    layers_ = [nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(layers)]
    model = strategy.wrap(nn.Sequential(*layers_))
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    trainer = TrainEngine(lambda *_: {}, RunState(seed=0), work_dir=folder)
    trainer.strategy = strategy
    trainer.track(model=model, optimizer=optimizer)
    trainer.add_hook(CheckpointHook(max_keep_ckpts=1))
    return trainer


def local_tensors(tree: Any) -> list[torch.Tensor]:
    """This rank's pieces of what lies over ranks."""
    found: list[torch.Tensor] = []

    def look(value: Any) -> None:
        if hasattr(value, "to_local"):
            found.append(value.to_local())

    map_leaves(tree, look)
    return found


def timed(action: Callable[[], object]) -> float:
    """Seconds that it takes on the slower rank."""
    distributed.barrier()
    start = time.perf_counter()
    action()
    took = torch.tensor(time.perf_counter() - start)
    distributed.all_reduce(took, distributed.ReduceOp.MAX)
    return float(took)


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
    """All figures for one size, on each rank."""
    trainer = build(size_bytes, folder / "ours")
    live = local_tensors(trainer.capture_checkpoint())
    size = sum(one.nbytes for one in live)
    buffers = [torch.empty_like(one).copy_(one) for one in live]
    group = distributed.new_group(backend="gloo")
    times: dict[str, list[float]] = {}

    def copy() -> None:
        for buffer, one in zip(buffers, live, strict=True):
            buffer.copy_(one)

    def their_tree() -> dict[str, Any]:
        model, optimizer = trainer.parts.model, trainer.parts.optimizer
        return {"model": model.state_dict(), "state": optimizer.state_dict()["state"]}

    def theirs(number: int) -> dict[str, float]:
        path = folder / f"dcp_{number}"
        kept: list[Any] = []
        blocked = timed(
            lambda: kept.append(
                dcp.async_save(their_tree(), checkpoint_id=path, process_group=group)
            )
        )
        kept[0].result()
        save = functools.partial(
            dcp.save, their_tree(), checkpoint_id=folder / "sync", process_group=group
        )
        durable = timed(save)
        distributed.barrier()
        if distributed.get_rank() == 0:
            shutil.rmtree(path)
            shutil.rmtree(folder / "sync")
        return {"async_save": blocked, "dcp.save": durable}

    for number in range(rounds + 1):
        round_ = {"copy": timed(copy)}
        round_["blocked"] = timed(functools.partial(pay, trainer, number))
        begin = time.perf_counter()
        finish(trainer)
        round_["durable"] = round_["blocked"] + time.perf_counter() - begin
        round_ |= theirs(number)
        if number:  # the first one makes the buffers and warms the disk's cache
            for name, seconds in round_.items():
                times.setdefault(name, []).append(seconds)
    return {
        "bytes_of_a_rank": size,
        "seconds": {name: statistics.median(some) for name, some in times.items()},
        "ratios": {
            "blocked / copy": _ratio(times["blocked"], times["copy"]),
            "async_save / copy": _ratio(times["async_save"], times["copy"]),
            "durable / dcp.save": _ratio(times["durable"], times["dcp.save"]),
        },
    }


def _ratio(ours: list[float], theirs: list[float]) -> list[float]:
    """Quartiles of the rounds' ratios."""
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    if len(each) == 1:
        return each * 3
    return statistics.quantiles(each, n=4, method="inclusive")


def report(row: dict[str, Any]) -> None:
    """Print the table."""
    size = row["bytes_of_a_rank"] / 1e6
    print(f"{RANKS} ranks, {size:.0f} MB each; seconds, medians:")
    for name, seconds in row["seconds"].items():
        print(f"  {name:<12} {seconds:.3f}")
    for name, (low, middle, high) in row["ratios"].items():
        verdict = ""
        if name == "blocked / copy":
            verdict = f", budget {LIMIT}: {'pass' if middle <= LIMIT else 'FAIL'}"
        print(f"{name}: {middle:.2f} ({low:.2f} .. {high:.2f}){verdict}")


def on_a_rank(arguments: argparse.Namespace) -> None:
    """Measure together with the other ranks; rank 0 prints."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    try:
        folder = Path(arguments.folder)
        row = measure(arguments.bytes, arguments.rounds, folder)
        if distributed.get_rank() == 0:
            report(row)
            facts = {
                "benchmark": "sharded",
                "quick": arguments.quick,
                "torch": torch.__version__,
                "python": platform.python_version(),
                "device": platform.processor() or platform.machine(),
                "ranks": RANKS,
                **row,
            }
            print(json.dumps(facts))
    finally:
        distributed.destroy_process_group()


def main() -> None:
    """Start the ranks, and wait for them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, once: for tests")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--bytes", type=int, default=400_000_000, help="of all ranks")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.bytes, arguments.rounds = 30_000_000, 1
    if arguments.folder:
        on_a_rank(arguments)
        return
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        ranks = [
            subprocess.Popen(
                [sys.executable, __file__, *sys.argv[1:], "--folder", folder],
                env={
                    **os.environ,
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(RANKS),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                },
            )
            for rank in range(RANKS)
        ]
        codes = [one.wait() for one in ranks]
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
