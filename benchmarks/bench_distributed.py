"""What does the engine add to an iteration under DDP, and what does agreeing cost?

    python benchmarks/bench_distributed.py [--quick] [--rounds N] [--ranks N]

Ranks on this machine, on gloo, take the same turns at the same time (``lanes.py``): a
bare loop over a DDP model, the same loop with an exchange in each iteration, as the
ranks of a run agree at each safe point, once waited for and once not, and the engine.
Times are by the wall, for ranks wait for each other. Then saves: how long training is
blocked by one, over a copy of the state in memory, on one rank and on several. The last
line that is printed is JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.lanes import BARE, TABLE_HEAD, Race
from benchmarks.toy import Toy, make_data, make_optimizer
from engine import CheckpointHook, RunState, TrainEngine
from engine.checkpoint import HostCopy
from engine.dist import Exchange, control_group, get_rank, on_main
from tests.ranks import run_ranks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.lanes import Contender, Pace

KINDS = 12  # numbers of an exchange
FLOATS = 8_000_000  # 32 MB of weights, and as much of momentum


def ddp_step(pace: Pace) -> Callable[[Any], Any]:
    """A training step on a DDP model, and what it needs."""
    model = Toy("list", pace)
    wrapped = DistributedDataParallel(model)
    optimizer = make_optimizer(model)

    def step(data: Any) -> Any:
        pace()
        loss = nn.functional.cross_entropy(wrapped(data[0]), data[1])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return {"loss": loss.detach()}

    model.forward = model.layers.forward  # type: ignore[method-assign]
    step.parts = {"model": wrapped, "optimizer": optimizer}  # type: ignore[attr-defined]
    return step


def bare(after: Callable[[], None] | None = None) -> Contender:
    """The loop that all others are compared with; ``after`` each iteration."""

    def run(pace: Pace, iterations: int) -> None:
        step = ddp_step(pace)
        data: Iterable[Any] = make_data("list", iterations)
        for batch in data:
            step(batch)
            if after is not None:
                after()

    return run


def waited() -> Callable[[], None]:
    """An exchange whose result is waited for."""
    sums = torch.zeros(KINDS, dtype=torch.int32)
    return lambda: distributed.all_reduce(sums, group=control_group())  # type: ignore[return-value]


def overlapped() -> Callable[[], None]:
    """An exchange whose result is read at the next one, as a run's ranks do it."""
    exchange = Exchange(control_group(), KINDS)
    return lambda: exchange.start([0] * KINDS)


def engine_(hooks: tuple[Any, ...] = ()) -> Contender:
    """A composed run; with its ranks' agreement at each safe point."""

    def run(pace: Pace, iterations: int) -> None:
        step = ddp_step(pace)
        folder = tempfile.mkdtemp()
        trainer = TrainEngine(
            lambda _, batch: step(batch), RunState(seed=0), work_dir=folder
        )
        trainer.track(**step.parts)  # type: ignore[attr-defined]
        for hook in hooks:
            trainer.add_hook(hook)
        trainer.run(make_data("list", iterations), max_epochs=1)

    return run


def race(rounds: int, stretch: int) -> tuple[list[str], dict[str, Any]]:
    """On a rank: the table and the figures of the iteration."""
    torch.set_num_threads(1)
    control_group()
    contenders: dict[str, Contender] = {
        BARE: bare(),
        "bare loop, once more": bare(),
        "bare loop, exchange waited for": bare(waited()),
        "bare loop, exchange overlapped": bare(overlapped()),
        "TrainEngine": engine_(),
    }
    rows = Race(
        contenders, stretch=stretch, rounds=rounds, warmup=2, clock=perf_counter
    ).run()
    base = statistics.median(rows[0].times)
    facts = {row.name: row.plain() for row in rows}
    ratio = {row.name: 1 + row.share / base for row in rows}
    return [row.text() for row in rows], {"rows": facts, "over_bare": ratio}


def blocked(floats: int, saves: int) -> float:
    """On a rank: how long a save blocks training, over a copy of the state."""
    torch.set_num_threads(1)
    folder = on_main(tempfile.mkdtemp)
    model = nn.Linear(floats // 1000, 1000, bias=False)
    together = distributed.get_world_size() > 1
    wrapped: Any = DistributedDataParallel(model) if together else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    inputs = torch.zeros(1, floats // 1000)

    def step(_: object, __: object) -> None:
        optimizer.zero_grad()
        wrapped(inputs).sum().backward()
        optimizer.step()

    trainer = TrainEngine(step, RunState(seed=0), work_dir=folder)
    trainer.track(model=wrapped, optimizer=optimizer)
    hook = CheckpointHook(interval=1, by_epoch=False, max_keep_ckpts=1)
    took: list[float] = []
    pay = hook.pay

    def timed(*args: Any) -> None:
        trainer.writer.wait()  # what is measured is one save, not the one before
        began = perf_counter()
        pay(*args)
        took.append(perf_counter() - began)

    hook.pay = timed  # type: ignore[method-assign]
    trainer.add_hook(hook)
    trainer.run([None] * (saves + 2), max_epochs=1)
    host = HostCopy()
    copies = []
    for _ in range(saves + 2):
        began = perf_counter()
        host.take([model.state_dict(), optimizer.state_dict()])
        copies.append(perf_counter() - began)
    return statistics.median(took[2:]) / statistics.median(copies[2:])


def on_ranks(rounds: int, stretch: int, floats: int, saves: int) -> Any:
    """On a rank: all that is measured."""
    table, facts = race(rounds, stretch)
    facts["blocked_over_copy"] = blocked(floats, saves)
    return table, facts, get_rank()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a little: for tests")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--ranks", type=int, default=2)
    options = parser.parse_args()
    quick = options.quick
    floats = FLOATS // 100 if quick else FLOATS
    rounds, stretch, saves = (2, 20, 2) if quick else (options.rounds, 50, 7)
    (table, facts, _), *_ = run_ranks(
        on_ranks, options.ranks, rounds, stretch, floats, saves
    )
    (alone,) = run_ranks(blocked, 1, floats, saves)
    print(f"{options.ranks} ranks, seen by rank 0")
    print(TABLE_HEAD)
    print("\n".join(table))
    for name, ratio in facts["over_bare"].items():
        print(f"  {name}: {ratio:.2f} of the bare loop")
    shared = facts["blocked_over_copy"]
    print(
        f"blocked by a save, over a copy in memory: {shared:.2f} on {options.ranks} "
        f"ranks, {alone:.2f} on one"
    )
    summary = {
        "benchmark": "distributed",
        "quick": quick,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "ranks": options.ranks,
        **facts,
        "blocked_over_copy_alone": alone,
    }
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    from benchmarks import bench_distributed  # whose functions ranks find by name

    sys.exit(bench_distributed.main())
