"""What does the engine itself cost per iteration, per event and per import?

    python benchmarks/bench_overhead.py [--quick] [--mmengine-python PYTHON]

Each contender trains the same model on the same data with the same optimizer; its share
is its time less that of a bare loop beside it (``lanes.py``). The last line that is
printed is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from itertools import repeat
from pathlib import Path
from time import thread_time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import ignite
import torch
from attrs import evolve, field, frozen
from by_hand import by_hand
from ignite.engine import Engine
from ignite.engine import Events as IgniteEvents
from lanes import (
    BARE,
    CLOCKS,
    TABLE_HEAD,
    Contender,
    Pace,
    Peer,
    Race,
    Row,
    quartiles,
    ratio,
)
from toy import SCENARIOS, Toy, bare_loop, make_data, make_optimizer

from engine import Events, OptimWrapper, Runner, TrainEngine, __version__
from engine.events import Bus
from engine.hooks import LedgerHook
from engine.state import RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MILLION = 1_000_000
HANDLERS = 6
LEDGER = "Runner, default hooks and LedgerHook"
RUNNER, AT_MILLION = "Runner, default hooks", "Runner at iteration 10**6"
TRAINER, IGNITE = "TrainEngine, no handlers", "Ignite, no handlers"
RECORD = "LedgerHook, 1 record"
HAND = "the same lines by hand"
PEER = "MMEngine's Runner"
# What the Runner's hooks record; checked after each run that stands at 10**6.
SCALARS = ("train/lr", "train/data_time", "train/loss", "train/time")


@frozen
class Sizes:
    """How much is measured."""

    stretch: int  # iterations in a turn; a multiple of LoggerHook's interval
    rounds: int
    warmup: int
    fires: int  # of an event, in a repeat
    repeats: int
    imports: int


FULL = Sizes(stretch=50, rounds=100, warmup=4, fires=20_000, repeats=25, imports=7)
QUICK = Sizes(stretch=20, rounds=3, warmup=1, fires=2_000, repeats=3, imports=1)


@frozen
class Budget:
    """A number that design.md limits."""

    what: str
    measured: float | None
    limit: float
    unit: str = field(default="")
    spread: tuple[float, float] | None = field(default=None)

    @property
    def verdict(self) -> str:
        """``pass``, ``FAIL``, or ``not measured``."""
        if self.measured is None:
            return "not measured"
        return "pass" if self.measured <= self.limit else "FAIL"

    def text(self) -> str:
        """A line of a table."""
        found = "-" if self.measured is None else f"{self.measured:.3f}"
        limit = f"<= {self.limit:g} {self.unit}"
        low, high = self.spread or (None, None)
        spread = "" if low is None else f"({low:.3f} .. {high:.3f})"
        return f"  {self.what:<58}{found:>9}  {limit:<12}{self.verdict:<14}{spread}"

    def plain(self) -> dict[str, Any]:
        """What JSON has of it."""
        return {
            "what": self.what,
            "measured": None if self.measured is None else round(self.measured, 4),
            "spread": self.spread,
            "limit": self.limit,
            "unit": self.unit,
            "verdict": self.verdict,
        }


# -- contenders ------------------------------------------------------------------------


def ignite_engine(scenario: str, *, handlers: int = 0) -> Contender:
    """Ignite as it is."""

    def run(pace: Pace, iterations: int) -> None:
        model = Toy(scenario, pace)
        step = model.plain_step(make_optimizer(model))
        trainer = Engine(lambda _, batch: step(batch))
        attach(trainer, IgniteEvents, handlers)
        trainer.run(make_data(scenario, iterations), max_epochs=1)

    return run


def train_engine(
    scenario: str, folder: Path, *, handlers: int = 0, track: bool = False
) -> Contender:
    """Our trainer, composed in code."""

    def run(pace: Pace, iterations: int) -> None:
        model = Toy(scenario, pace)
        optimizer = make_optimizer(model)
        step = model.plain_step(optimizer)
        trainer = TrainEngine(lambda _, batch: step(batch), work_dir=folder / "trainer")
        if track:
            trainer.track(model=model, optimizer=optimizer)
        attach(trainer, Events, handlers)
        trainer.run(make_data(scenario, iterations), max_epochs=1)

    return run


def attach(trainer: Engine, events: Any, count: int) -> None:
    """Attach so many handlers that do nothing; the sixth runs each 100 iterations."""
    started, completed = events.ITERATION_STARTED, events.ITERATION_COMPLETED
    where = [started, completed, completed, started, completed, completed(every=100)]
    for event in where[:count]:
        trainer.add_event_handler(event, nothing)


def nothing(_: object) -> None:
    """Stand for a handler."""


def runner(
    scenario: str,
    folder: Path,
    *,
    done: int = 0,
    keep: list[Runner] | None = None,
    ledger: bool = False,
) -> Contender:
    """Our Runner with its default hooks.

    Args:
        scenario: What is trained.
        folder: Gets its work dir.
        done: Iterations that it has behind it.
        keep: Gets the Runner.
        ledger: Whether it writes a ledger too.
    """

    def run(pace: Pace, iterations: int) -> None:
        epochs = -(-done // iterations)
        model = Toy(scenario, pace)
        made = Runner(
            model=model,
            work_dir=folder / f"runner_{done}{'_ledger' * ledger}",
            train_dataloader=make_data(scenario, iterations),
            train_cfg={"max_epochs": epochs + 1},
            optim_wrapper=OptimWrapper(make_optimizer(model)),
            default_hooks={"logger": {"interval": 10}},
            custom_hooks=[{"type": "LedgerHook"}] if ledger else None,
            randomness={"seed": 0},
            experiment_name="bench",
        )
        if done:
            advance(made, epochs, iterations)
        made.train()
        if keep is not None:
            keep.append(made)
        found = sorted(made.message_hub.log_scalars)
        assert found == sorted(SCALARS), f"SCALARS lacks some of {found}"

    return run


def advance(made: Runner, epochs: int, epoch_length: int) -> None:
    """Put a Runner where it would be after so many epochs, histories included."""
    done = made.state.progress
    done.epoch = done.data_pass = epochs
    done.iteration = done.optimizer_steps = epochs * epoch_length
    done.samples = done.iteration * 16
    for key in SCALARS:
        made.message_hub.update_scalar(key, 0.5)
        update = made.message_hub.get_scalar(key).update
        for number in range(done.iteration - 1):
            update(number * 1e-6)


# -- measurements ----------------------------------------------------------------------


def measure_iterations(
    scenario: str, sizes: Sizes, folder: Path, python: str | None, clock: str
) -> list[Row]:
    """Microseconds per iteration of each contender in one scenario."""
    contenders: dict[str, Contender] = {
        BARE: bare_loop(scenario),
        "bare loop, once more": bare_loop(scenario),
        IGNITE: ignite_engine(scenario),
        f"Ignite, {HANDLERS} handlers": ignite_engine(scenario, handlers=HANDLERS),
        TRAINER: train_engine(scenario, folder),
        f"TrainEngine, {HANDLERS} handlers": train_engine(
            scenario, folder, handlers=HANDLERS
        ),
        "TrainEngine, optimizer tracked": train_engine(scenario, folder, track=True),
        RUNNER: runner(scenario, folder),
        LEDGER: runner(scenario, folder, ledger=True),
        HAND: by_hand(scenario, folder / "by_hand"),
    }
    if scenario == "noop":  # where nothing hides the difference
        # Longer turns, fewer of them: MMEngine slows down with iterations done.
        sizes = evolve(sizes, stretch=4 * sizes.stretch, rounds=-(-sizes.rounds // 4))
        contenders[AT_MILLION] = runner(scenario, folder, done=MILLION)
    folder.mkdir()
    turns = sizes.rounds + sizes.warmup
    peer = None
    if python is not None:
        script = Path(__file__).with_name("peer_mmengine.py")
        numbers = (str(sizes.stretch), str(turns), clock)
        peer = Peer(
            [python, str(script), scenario, str(folder), *numbers],
            folder / f"mmengine_{scenario}.txt",
        )
    race = Race(
        contenders,
        stretch=sizes.stretch,
        rounds=sizes.rounds,
        warmup=sizes.warmup,
        clock=CLOCKS[clock],
    )
    return race.run(peer)


def measure_growth(folder: Path) -> dict[str, int]:
    """Bytes of a checkpoint when the windows have just filled, and at 10**6."""
    kept: list[Runner] = []
    length = 1_200  # the message hub keeps 1,000 values of a scalar
    runner("noop", folder / "growth", keep=kept)(lambda: None, length)
    made = kept[0]
    sizes = {}
    for iteration in (length, MILLION):
        if iteration > length:
            advance(made, iteration // length, length)
        path = made.save_checkpoint(folder / "growth", f"at_{iteration}.pth")
        sizes[str(iteration)] = path.stat().st_size
    return sizes


def measure_events(sizes: Sizes, folder: Path) -> dict[str, tuple[float, float, float]]:
    """Quartiles of nanoseconds per event, handlers that do nothing included.

    And those of a ledger's record, its part of the writing included.
    """
    owner = object()
    contenders: dict[str, Callable[[], object]] = {}

    def on_bus(name: str, count: int, when: Any = None) -> None:
        bus = Bus(owner, lambda: "nowhere")
        for _ in range(count):
            bus.add("EVENT", nothing, when=when)
        contenders[name] = lambda: bus.fire("EVENT", owner)

    def on_ignite(name: str, count: int, **when: int) -> None:
        trainer = Engine(lambda *_: None)
        event = IgniteEvents.ITERATION_COMPLETED
        for _ in range(count):
            trainer.add_event_handler(event(**when) if when else event, nothing)
        contenders[name] = lambda: trainer.fire_event(event)

    on_bus("Bus, no handler", 0)
    on_bus("Bus, 1 handler", 1)
    on_bus("Bus, 6 handlers", 6)
    on_bus(
        "Bus, 1 not due (every=1000)", 1, Events.ITERATION_COMPLETED(every=1000).when
    )
    on_ignite("Ignite, no handler", 0)
    on_ignite("Ignite, 1 handler", 1)
    on_ignite("Ignite, 6 handlers", 6)
    on_ignite("Ignite, 1 not due (every=1000)", 1, every=1000)
    contenders[RECORD] = ledger_record(folder)
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(sizes.repeats):
        empty = time_calls(lambda: None, sizes.fires)
        for name, fire in contenders.items():
            found[name].append(time_calls(fire, sizes.fires) - empty)
    return {name: quartiles(values) for name, values in found.items()}


def ledger_record(folder: Path) -> Callable[[], object]:
    """What LedgerHook does in an iteration on a batch of two tensors."""
    model = Toy("list", lambda: None)
    state = RunState(seed=0)
    run = SimpleNamespace(
        state=state, rank=0, work_dir=folder, optim_wrapper=make_optimizer(model)
    )
    hook = LedgerHook()
    hook.before_train(run)
    (batch,) = make_data("list", 1)
    outputs = {"loss": torch.tensor(0.5)}

    def record() -> None:
        state.progress.iteration += 1
        hook.after_train_iter(run, 0, batch, outputs)

    return record


def time_calls(call: Callable[[], object], count: int) -> float:
    """Nanoseconds of one call, of this thread's time on the processor."""
    began = thread_time()
    for _ in repeat(None, count):
        call()
    return (thread_time() - began) / count * 1e9


def measure_imports(sizes: Sizes) -> dict[str, float]:
    """Median seconds of fresh Pythons, less one that imports nothing.

    Of their time on the processor: on a busy machine a second is no measure.
    """
    programs = {
        "nothing": "pass",
        "torch, ignite": "import torch, ignite",
        "engine": "import engine",
        "Runner, TrainEngine": "from engine import Runner, TrainEngine",
    }
    found: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(sizes.imports):
        for name, program in programs.items():
            began = children_seconds()
            subprocess.run([sys.executable, "-c", program], check=True)
            found[name].append(children_seconds() - began)
    medians = {name: statistics.median(values) for name, values in found.items()}
    nothing_at_all = medians.pop("nothing")
    return {name: value - nothing_at_all for name, value in medians.items()}


def children_seconds() -> float:
    """What processes that have ended took on the processor."""
    taken = os.times()
    return taken.children_user + taken.children_system


def help_imports_torch() -> bool:
    """Whether ``engine --help`` loads torch."""
    program = (
        "import sys, contextlib, io; sys.argv = ['engine', '--help']\n"
        "from engine.cli.app import main\n"
        "sys.stdout = io.StringIO()\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main()\n"
        "sys.exit('torch' in sys.modules)"
    )
    return bool(subprocess.run([sys.executable, "-c", program], check=False).returncode)


# -- the report ------------------------------------------------------------------------


def check_budgets(
    tables: Mapping[str, list[Row]],
    events: Mapping[str, tuple[float, float, float]],
    growth: Mapping[str, int],
    imports: Mapping[str, float],
    *,
    help_needs_torch: bool,
) -> list[Budget]:
    """The budgets of design.md, "Performance", and of decision 13."""
    budgets = []
    for scenario, rows in tables.items():
        row = {row.name: row for row in rows}
        found, *spread = ratio(row[TRAINER], row[IGNITE])
        what = f"TrainEngine without handlers / Ignite's share ({scenario})"
        budgets.append(Budget(what, found, 0.5, spread=tuple(spread)))
        if PEER in row:
            found, *spread = ratio(row[RUNNER], row[PEER])
            what = f"Runner, default hooks / MMEngine's share ({scenario})"
            budgets.append(Budget(what, found, 0.15, spread=tuple(spread)))
        found, *spread = ratio(row[RUNNER], row[HAND])
        what = f"Runner, default hooks / the same by hand ({scenario})"
        limit = 4 if scenario == "noop" else 3  # docs/decisions/0013
        budgets.append(Budget(what, found, limit, spread=tuple(spread)))
    if not any("MMEngine" in budget.what for budget in budgets):
        what = "Runner, default hooks / MMEngine's share (--mmengine-python)"
        budgets.append(Budget(what, None, 0.15))
    rows = tables["noop"]
    early, late = (
        next(row for row in rows if row.name == name) for name in (RUNNER, AT_MILLION)
    )
    ratios = [a / b for a, b in zip(late.shares or (), early.shares or (), strict=True)]
    small, large = growth.values()
    per_iteration = round((large - small) / MILLION, 3)
    both = imports["torch, ignite"]
    return [
        *budgets,
        Budget(
            "Runner's share at iteration 10**6 / at 0", statistics.median(ratios), 1.05
        ),
        Budget("checkpoint's growth per iteration", per_iteration, 0, "bytes"),
        Budget("an event with 1 handler", events["Bus, 1 handler"][1] / 1e3, 0.3, "us"),
        Budget(
            "an event with 6 handlers", events["Bus, 6 handlers"][1] / 1e3, 0.7, "us"
        ),
        Budget(
            "a handler that is not due",
            events["Bus, 1 not due (every=1000)"][1] / 1e3,
            0.3,
            "us",
        ),
        Budget("import engine / import torch, ignite", imports["engine"] / both, 1.15),
        Budget(
            "from engine import Runner, ... / import torch, ignite",
            imports["Runner, TrainEngine"] / both,
            1.15,
        ),
        Budget("engine --help loads torch", float(help_needs_torch), 0),
    ]


def versions(python: str | None) -> dict[str, Any]:
    """What was measured on what."""
    facts = {
        "engine": __version__,
        "torch": torch.__version__,
        "ignite": ignite.__version__,
        "python": platform.python_version(),
        "device": f"cpu ({cpu_name()}), {os.cpu_count()} cores, 1 torch thread",
        "load": round(os.getloadavg()[0], 2),
    }
    if python is not None:
        program = (
            "import mmengine, torch; print(mmengine.__version__, torch.__version__)"
        )
        told = subprocess.run(
            [python, "-c", program], check=True, capture_output=True, text=True
        )
        found, on = told.stdout.split()[-2:]
        facts["mmengine"] = f"{found} on torch {on}"
    return facts


def cpu_name() -> str:
    """The processor, as Linux calls it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def main() -> None:
    """Measure, print tables and budgets, and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    parser.add_argument(
        "--mmengine-python", metavar="PYTHON", help="a Python that has MMEngine"
    )
    parser.add_argument("--rounds", type=int, help="rounds that count")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="cpu",
        help="what times iterations: the thread's time on the processor, or wall",
    )
    options = parser.parse_args()
    sizes = QUICK if options.quick else FULL
    sizes = evolve(sizes, rounds=options.rounds or sizes.rounds)
    python = options.mmengine_python
    torch.set_num_threads(1)
    facts = versions(python)
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    tables: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # People's log lines go to a file, as in a run in the background.
        with (
            (folder / "console.txt").open("w") as console,
            contextlib.redirect_stderr(console),
        ):
            for scenario, title in SCENARIOS.items():
                tables[scenario] = measure_iterations(
                    scenario, sizes, folder / scenario, python, options.clock
                )
                print(f"\n{title}\n{TABLE_HEAD}")
                print("\n".join(row.text() for row in tables[scenario]), flush=True)
            growth = measure_growth(folder)
        events = measure_events(sizes, folder)
    print("\nns per event (handlers that do nothing included)")
    for what, (low, middle, high) in events.items():
        print(f"  {what:<34}{middle:>9.0f}  {low:>8.0f} .. {high:.0f}")
    imports = measure_imports(sizes)
    print("\nseconds to import")
    for what, seconds in imports.items():
        print(f"  {what:<34}{seconds:>9.2f}")
    print("\nbytes of a checkpoint")
    for what, size in growth.items():
        print(f"  {'at iteration ' + what:<34}{size:>9}")
    budgets = check_budgets(
        tables, events, growth, imports, help_needs_torch=help_imports_torch()
    )
    print("\nbudgets\n" + "\n".join(budget.text() for budget in budgets))
    summary = {
        "benchmark": "overhead",
        **facts,
        "quick": options.quick,
        "clock": options.clock,
        "rounds": sizes.rounds,
        "iterations": {
            scenario: [row.plain() for row in rows] for scenario, rows in tables.items()
        },
        "event_ns": {what: round(middle, 1) for what, (_, middle, _) in events.items()},
        "import_seconds": {what: round(value, 3) for what, value in imports.items()},
        "checkpoint_bytes": growth,
        "budgets": [budget.plain() for budget in budgets],
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
