"""Compare LogProcessor's values and lines with MMEngine's, as a black box.

Not collected by pytest: MMEngine is not installed where the tests run. ``make oracle``
runs it where it is. White space is compared as one blank: MMEngine writes more where a
part of a line is empty.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import types
from typing import Any
from unittest.mock import MagicMock as Anything

from mmengine.logging import HistoryBuffer as TheirBuffer
from mmengine.logging import MessageHub as TheirHub
from mmengine.runner import LogProcessor as Theirs

from engine import MessageHub
from engine.logging import HistoryBuffer
from engine.loops import LogProcessor

NAMES = ("loss", "loss_cls", "acc", "lr", "base_lr", "gen.lr", "grad_norm", "momentum")
LENGTH, EVALUATED = 20, 5


def spread(self: Any, window_size: int, factor: float = 1.0) -> float:
    """A statistic of the user's: how far the newest values lie apart."""
    values = self.data[0][-window_size:]
    return float(factor * (max(values) - min(values)))


def settings(chance: random.Random, *, by_epoch: bool) -> dict[str, Any]:
    """Random arguments."""
    given: dict[str, Any] = {
        "window_size": chance.choice([1, 3, 10, 50]),
        "by_epoch": by_epoch,
        "num_digits": chance.choice([1, 4, 6]),
        "log_with_hierarchy": chance.random() < 0.3,
    }
    if chance.random() < 0.3:
        given["mean_pattern"] = chance.choice([".*acc.*", "nothing", ".*"])
    custom = []
    windows = [1, 4, 100, "global", *(["epoch"] if by_epoch else [])]
    for name in chance.sample(NAMES, chance.choice([0, 0, 1, 3])):
        one = {"data_src": name, "window_size": chance.choice(windows)}
        one["method_name"] = chance.choice(["mean", "min", "max", "spread"])
        if one["method_name"] == "spread" and chance.random() < 0.5:
            one["factor"] = 2.0
        if chance.random() < 0.6:
            one["log_name"] = f"{name}_more"
        custom.append(one)
    if custom:
        given["custom_cfg"] = custom
    return given


def both(chance: random.Random, number: int, *, by_epoch: bool) -> tuple[Any, Any, int]:
    """The two runs at the same place, with the same values; and the place."""
    place = chance.randrange(LENGTH)
    done = chance.randrange(3) * LENGTH + place
    hubs = (TheirHub(f"case {number}"), MessageHub())
    recorded = chance.sample(NAMES, chance.randint(1, len(NAMES)))
    for _ in range(done + 1):
        values = {f"train/{name}": chance.uniform(0, 3) for name in recorded}
        values |= {"train/time": chance.random(), "train/data_time": chance.random()}
        for hub in hubs:
            hub.update_scalars(values)
    for _ in range(EVALUATED):
        values = {"val/time": chance.random(), "val/data_time": chance.random()}
        for hub in hubs:
            hub.update_scalars(values)
    for hub in hubs:
        hub.update_info("eta", 12345.6 + number)
    facts = {"epoch": done // LENGTH, "iter": done, "max_iters": 3 * LENGTH}
    facts["max_epochs"] = 3
    loop = types.SimpleNamespace(dataloader=[0] * LENGTH, max_iters=3 * LENGTH)
    evaluation = types.SimpleNamespace(dataloader=[0] * EVALUATED, length=EVALUATED)
    theirs = Anything(
        **facts,
        message_hub=hubs[0],
        train_dataloader=[0] * LENGTH,
        train_loop=loop,
        val_loop=evaluation,
        val_dataloader=[0] * EVALUATED,
    )
    ours = types.SimpleNamespace(
        logger=types.SimpleNamespace(warning=lambda *_, **__: None),
        **facts,
        message_hub=hubs[1],
        clock=types.SimpleNamespace(epoch_length=LENGTH),
        validator=evaluation,
    )
    return theirs, ours, place if by_epoch else done


def same(theirs: tuple[Any, str], ours: tuple[Any, str]) -> bool:
    """Equal values to 1e-9, and equal lines but for white space and order of times."""
    values, mine = dict(theirs[0]), dict(ours[0])
    if values.keys() != mine.keys():
        return False
    close = all(
        abs(float(values[key]) - float(mine[key])) <= 1e-9 * (1 + abs(mine[key]))
        for key in values
    )
    return close and " ".join(theirs[1].split()) == " ".join(ours[1].split())


def one_line(processor: Any, run: Any) -> str:
    """The line in a validation; the time left is ours."""
    _, line = processor.get_log_after_iter(run, 0, "val")
    return re.sub(r"eta: \S+", "", " ".join(line.split()))


def main() -> int:
    """Compare; the exit code says whether all were equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    cases = parser.parse_args().cases
    TheirBuffer.register_statistics(spread)
    HistoryBuffer.register_statistics(spread)
    chance = random.Random(0)
    for number in range(cases):
        given = settings(chance, by_epoch=chance.random() < 0.5)
        theirs, ours, place = both(chance, number, by_epoch=given["by_epoch"])
        one, mine = Theirs(**given), LogProcessor(**given)
        pairs = [
            (
                one.get_log_after_iter(theirs, place, "train"),
                mine.get_log_after_iter(ours, place, "train"),
            )
        ]
        for run in (theirs, ours):
            run.message_hub.update_scalars({"val/acc": 0.5, "val/x/top1": 0.25})
            run.message_hub.update_info("val/names", ["a", "b"])
        they, we = [
            one_line(processor, run) for processor, run in ((one, theirs), (mine, ours))
        ]
        if they != we:
            print(f"case {number}: {given}:\n{they}\n{we}")  # noqa: T201
            return 1
        # Theirs takes the mean of one more time than it is told of.
        pairs.append(
            (
                one.get_log_after_epoch(theirs, EVALUATED - 1, "val"),
                mine.get_log_after_epoch(ours, EVALUATED, "val"),
            )
        )
        for left, right in pairs:
            if not same(left, right):
                print(f"case {number}: {given}, place {place}:\n{left}\n{right}")  # noqa: T201
                return 1
    print(f"log lines: {cases} cases equal")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
