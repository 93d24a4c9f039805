"""MMEngine's Runner with its default hooks, beside a bare loop of its own.

Run by ``bench_overhead.py`` under a Python that has MMEngine; it is used through its
public interface only. Each line read from the standard input is one round.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from lanes import BARE, CLOCKS, Race
from toy import Toy, bare_loop, make_data, make_optimizer

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Answer rounds with times until the input ends."""
    scenario, folder = sys.argv[1], Path(sys.argv[2])
    stretch, turns = int(sys.argv[3]), int(sys.argv[4])
    clock = CLOCKS[sys.argv[5]]
    torch.set_num_threads(1)
    # The answers' own channel: MMEngine's log goes to a file as ours does.
    with (
        os.fdopen(os.dup(1), "w") as answers,
        (folder / "mmengine_console.txt").open("w") as console,
    ):
        sys.stdout = console
        import mmengine

        race = Race(
            {BARE: bare_loop(scenario), "MMEngine's Runner": runner(scenario, folder)},
            stretch=stretch,
            rounds=turns,
            warmup=0,
            clock=clock,
        )
        about = {"mmengine": mmengine.__version__, "torch": torch.__version__}
        print(json.dumps(about), file=answers, flush=True)
        for number, _ in enumerate(sys.stdin, start=1):
            print(json.dumps(race.round()), file=answers, flush=True)
            # Without the last round whoever asked is gone: the lanes die with us.
            if number == turns:
                race.finish()


class Batches(list[Any]):
    """A list of batches with what MMEngine looks for on a loader."""

    dataset: tuple[Any, ...] = ()
    sampler = None
    batch_sampler = SimpleNamespace(sampler=None)


def loader(scenario: str, iterations: int) -> Any:
    """The data that all contenders have, as MMEngine takes it."""
    data = make_data(scenario, iterations)
    return Batches(data) if isinstance(data, list) else data


def runner(scenario: str, folder: Path) -> Callable[[Callable[[], None], int], None]:
    """MMEngine's Runner as a contender."""

    def run(pace: Callable[[], None], iterations: int) -> None:
        from mmengine.optim import OptimWrapper
        from mmengine.runner import Runner

        torch.set_num_threads(1)
        model = Toy(scenario, pace)
        Runner(
            model=model,
            work_dir=str(folder / "mmengine"),
            train_dataloader=loader(scenario, iterations),
            train_cfg={"by_epoch": True, "max_epochs": 1},
            optim_wrapper=OptimWrapper(make_optimizer(model)),
            default_hooks={"logger": {"type": "LoggerHook", "interval": 10}},
            randomness={"seed": 0},
            experiment_name="bench",
        ).train()

    return run


main()
