"""Compare EarlyStoppingHook with MMEngine's, as a black box, on random metrics.

Not collected by pytest: MMEngine is not installed where the tests run. ``make oracle``
runs it where it is.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import types
from typing import Any

from mmengine.hooks import (
    EarlyStoppingHook as Theirs,
)

from engine.hooks import EarlyStoppingHook
from engine.state import Phase, RunState

VALUES = [0, 0.1, 0.2, 0.5, 0.6, 1, 1.5, 2, 2.5, 3, -1]
ODD = [math.nan, math.inf, -math.inf]


class Silent:
    """A logger that says nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def ends_after(hook: Any, values: list[float]) -> tuple[int, Any, Any]:
    """How many values it takes, and what the hook then remembers."""
    loop = types.SimpleNamespace(stop_training=False)
    state = RunState(outer=Phase.TRAINING)
    runner = types.SimpleNamespace(train_loop=loop, logger=Silent(), state=state)
    runner.stop = lambda _: setattr(loop, "stop_training", True)
    hook.before_run(runner)
    taken = 0
    while taken < len(values) and not loop.stop_training:
        hook.after_val_epoch(runner, {"acc": values[taken]})
        taken += 1
    return taken, hook.wait_count, repr(float(hook.best_score))


def settings(chance: random.Random) -> dict[str, Any]:
    """Random arguments."""
    given: dict[str, Any] = {
        "monitor": "acc",
        "rule": chance.choice(["greater", "less", None]),
        "patience": chance.randint(0, 4),
        "min_delta": chance.choice([0.1, 0.5, 0, 1, -0.5]),
        "check_finite": chance.random() < 0.5,
    }
    if chance.random() < 0.4:
        given["stopping_threshold"] = chance.choice([0, 0.5, 1, 2.0])
    return given


def main() -> int:
    """Compare; the exit code says whether all were equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000)
    cases = parser.parse_args().cases
    chance = random.Random(0)
    for number in range(cases):
        given = settings(chance)
        pool = VALUES + (ODD if chance.random() < 0.4 else [])
        values = [chance.choice(pool) for _ in range(10)]
        theirs = ends_after(Theirs(**given), values)
        ours = ends_after(EarlyStoppingHook(**given), values)
        if theirs != ours:
            print(f"case {number}: {given} {values}: {theirs}, ours {ours}")  # noqa: T201
            return 1
    print(f"early stopping: {cases} cases equal")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
