"""What does an optimizer wrapper cost over the same calls by hand, and a schedule?

    python benchmarks/bench_optim.py [--quick] [--mmengine-python PYTHON]

A contender's loss is made outside of what is timed: backward, clipping, the step and
zeroing are timed. By hand these are the calls of torch that the wrapper stands for.
With 0 tensors backward and the step do nothing, so that the wrapper's own cost is seen.
MMEngine runs under a Python of its own that has it, beside the same calls by hand. The
last line that is printed is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

if TYPE_CHECKING:
    from collections.abc import Callable

TENSORS = (0, 10, 1_000)
STRETCH = {0: 100, 10: 10, 1_000: 1}  # windows in a contender's turn
SCHEDULES = (1, 10)
WINDOW = 4
MAX_NORM = 1.0
WIDTH = 8
STEPS = 10**9  # length of a schedule: it never ends while it is measured
CASES: dict[str, dict[str, Any]] = {
    "float32": {},
    "float32, clip": {"clip": True},
    f"float32, windows of {WINDOW}": {"window": WINDOW},
    "bfloat16": {"amp": True},
    "bfloat16, clip": {"amp": True, "clip": True},
    f"bfloat16, windows of {WINDOW}": {"amp": True, "window": WINDOW},
}


class IdleLoss(torch.Tensor):
    """A loss whose backward does nothing, and that costs what a plain tensor does."""

    __torch_function__ = nn.Parameter.__torch_function__

    def __truediv__(self, _: object) -> IdleLoss:  # type: ignore[override]
        """The same: a quotient would be a plain tensor."""
        return self

    def backward(self, *_: object, **__: object) -> None:  # type: ignore[override]
        """Do nothing."""


class IdleOptimizer(torch.optim.SGD):
    """An optimizer whose step does nothing, but for what torch does around a step."""

    def step(self, closure: object = None) -> None:  # type: ignore[override]
        """Do nothing."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Do nothing."""


class Side:
    """A model, and its step, by hand or by a wrapper.

    Args:
        tensors: Parameters of the model, a multiple of two; 0: one, and nothing to do.
        wrappers: The module that has the wrappers; ``None``: by hand.
        amp: Whether forward runs in bfloat16.
        clip: Whether gradients are clipped by norm.
        window: Iterations whose gradients add up.
    """

    def __init__(
        self,
        tensors: int,
        wrappers: Any,
        *,
        amp: bool = False,
        clip: bool = False,
        window: int = 1,
    ) -> None:
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            *(nn.Linear(WIDTH, WIDTH) for _ in range(max(tensors // 2, 1)))
        )
        self.inputs = torch.randn(2, WIDTH)
        kind = torch.optim.SGD if tensors else IdleOptimizer
        self.optimizer = kind(self.layers.parameters(), lr=1e-3, momentum=0.9)
        self.idle: torch.Tensor | None = None
        if not tensors:
            self.loss().backward()  # gradients that are there for good, to be clipped
            self.idle = self.loss().as_subclass(IdleLoss)
        self.window, self.done = window, 0
        if wrappers is None:
            self.context: Callable[[], Any] = contextlib.nullcontext
            if amp:
                self.context = lambda: torch.autocast("cpu", dtype=torch.bfloat16)
            self.update = self.clip_by_hand if clip else self.by_hand
            return
        settings: dict[str, Any] = {
            "optimizer": self.optimizer,
            "accumulative_counts": window,
            "clip_grad": {"max_norm": MAX_NORM} if clip else None,
        }
        if amp:
            wrapper = wrappers.AmpOptimWrapper(dtype="bfloat16", **settings)
        else:
            wrapper = wrappers.OptimWrapper(**settings)
        if hasattr(wrapper, "report"):  # somebody listens, as in a run
            wrapper.report = lambda _, norm: norm
        wrapper.initialize_count_status(self.layers, 0, STEPS)
        self.context = lambda: wrapper.optim_context(self.layers)
        self.update = wrapper.update_params

    def loss(self) -> torch.Tensor:
        """What is trained on, shape ``()``."""
        return self.layers(self.inputs).float().square().mean()

    def by_hand(self, loss: Any) -> None:
        """The plain calls."""
        (loss if self.window == 1 else loss / self.window).backward()
        self.done += 1
        if self.done % self.window == 0:
            self.optimizer.step()
            self.optimizer.zero_grad()

    def clip_by_hand(self, loss: Any) -> None:
        """The plain calls, clipped."""
        loss.backward()
        clip_grad_norm_(self.layers.parameters(), MAX_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def seconds(self, iterations: int) -> tuple[float, float]:
        """Mean seconds of an update, and of entering and leaving the context."""
        updating = around = 0.0
        for _ in range(iterations):
            began = perf_counter()
            with self.context():
                entered = perf_counter()
                loss = self.loss() if self.idle is None else self.idle
                leaving = perf_counter()
            ready = perf_counter()
            self.update(loss)
            updating += perf_counter() - ready
            around += entered - began + ready - leaving
        return updating / iterations, around / iterations


def measure_steps(module: str, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Microseconds a round of each contender, by number of tensors.

    Contenders take turns, there and back: a round has one stretch of each, right
    beside the same by hand. The first is not counted.
    """
    wrappers = importlib.import_module(module)
    found: dict[str, dict[str, list[float]]] = {}
    for tensors in TENSORS:
        sides: dict[str, Side] = {}
        for name, case in CASES.items():
            try:
                sides[name] = Side(tensors, wrappers, **case)
            except (AssertionError, RuntimeError) as error:  # a peer wants a GPU
                print(f"{module}: {name}: {error}", file=sys.stderr)
                continue
            sides[f"{name}, by hand"] = Side(tensors, None, **case)
        # Whole windows, so that each stretch has the same share of steps.
        stretch = WINDOW * STRETCH[tensors]
        times: dict[str, list[float]] = {name: [] for name in sides}
        times |= {f"{name}, context": [] for name in sides}
        for number in range(rounds + 1):
            turns = list(sides.items())
            for name, side in turns if number % 2 else reversed(turns):
                update, around = side.seconds(stretch)
                if number:
                    times[name].append(update * 1e6)
                    times[f"{name}, context"].append(around * 1e6)
        found[str(tensors)] = times
    return found


def measure_schedules(module: str, rounds: int) -> dict[str, list[float]]:
    """Microseconds of an iteration's schedule steps a round, by how many there are."""
    kinds = {
        module: importlib.import_module(module).CosineAnnealingLR,
        "torch": torch.optim.lr_scheduler.CosineAnnealingLR,
    }
    found: dict[str, list[float]] = {}
    for count in SCHEDULES:
        lanes = {}
        for name, kind in kinds.items():
            optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
            more = {} if name == "torch" else {"by_epoch": False}
            lanes[name] = [kind(optimizer, T_max=STEPS, **more) for _ in range(count)]
            optimizer.step()  # else the first step of a schedule is a warning
            found[f"{name} {count}"] = []
        for number in range(rounds + 1):
            for name, schedules in lanes.items():
                began = perf_counter()
                for _ in range(200):
                    for schedule in schedules:
                        schedule.step()
                if number:
                    took = perf_counter() - began
                    found[f"{name} {count}"].append(took / 200 * 1e6)
    return found


def measure(module: str, rounds: int) -> dict[str, Any]:
    """All of one side."""
    torch.set_num_threads(1)
    return {
        "steps": measure_steps(module, rounds),
        "schedules": measure_schedules(module, rounds),
    }


def measure_peer(python: str, rounds: int) -> dict[str, Any]:
    """The same in another Python; its version too."""
    told = subprocess.run(
        [python, __file__, "--peer", "--rounds", str(rounds)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    answer: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return answer


def answer_as_peer(rounds: int) -> None:
    """What the other Python prints."""
    with contextlib.redirect_stdout(sys.stderr):
        import mmengine  # type: ignore[import-not-found]  # the peer's Python has it

        found = measure("mmengine.optim", rounds)
    print(json.dumps({"version": mmengine.__version__, **found}))


def summed(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Of each case: medians, and the ratio to the same by hand with its quartiles."""
    rows = {}
    for name in CASES:
        if name not in times:
            continue
        hand = times[f"{name}, by hand"]
        ratios = [a / b for a, b in zip(times[name], hand, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        context = statistics.median(times[f"{name}, context"])
        context -= statistics.median(times[f"{name}, by hand, context"])
        rows[name] = {
            "by_hand": statistics.median(hand),
            "wrapper": statistics.median(times[name]),
            "ratio": statistics.median(ratios),
            "low": low,
            "high": high,
            "context": context,
        }
    return {
        name: {key: round(number, 3) for key, number in row.items()}
        for name, row in rows.items()
    }


def show_steps(who: str, rows: dict[str, dict[str, dict[str, float]]]) -> None:
    """A table for each number of tensors."""
    for tensors, some in rows.items():
        print(f"\n{who}, {tensors} parameter tensors, microseconds of an update")
        head = f"  {'':<24}{'by hand':>10}{'wrapper':>10}{'ratio':>8}"
        print(f"{head}   {'quartiles':<14}  context, more")
        for name, row in some.items():
            three = (
                f"{row['by_hand']:>10.1f}{row['wrapper']:>10.1f}{row['ratio']:>8.3f}"
            )
            print(
                f"  {name:<24}{three}   {row['low']:.3f} .. {row['high']:.3f}"
                f"  {row['context']:>+8.1f}"
            )


def main() -> None:
    """Measure, print tables and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    parser.add_argument("--mmengine-python", metavar="PYTHON", help="has MMEngine")
    parser.add_argument("--rounds", type=int, help="rounds that count, at least 2")
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 40)
    if options.peer:
        answer_as_peer(rounds)
        return
    from engine import __version__

    facts = {
        "engine": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    sides = {"engine": measure("engine.optim", rounds)}
    if options.mmengine_python is not None:
        sides["mmengine"] = measure_peer(options.mmengine_python, rounds)
        facts["mmengine"] = sides["mmengine"]["version"]
    print("\n".join(f"{what}: {value}" for what, value in facts.items()))
    steps = {
        who: {tensors: summed(times) for tensors, times in side["steps"].items()}
        for who, side in sides.items()
    }
    for who, rows in steps.items():
        show_steps(who, rows)
    schedules = {}
    print("\nmicroseconds of an iteration's schedule steps")
    for who, side in sides.items():
        for name, times in side["schedules"].items():
            library, count = name.split()
            label = who if library != "torch" else f"torch, beside {who}"
            schedules[f"{label}, {count}"] = round(statistics.median(times), 3)
            print(f"  {label:<24}{count:>4}{statistics.median(times):>10.2f}")
    summary = {"benchmark": "optim", **facts, "quick": options.quick, "rounds": rounds}
    print(json.dumps({**summary, "steps": steps, "schedules": schedules}))


if __name__ == "__main__":
    main()
