"""What the default hooks record and write, in one loop written by hand.

No events, no hooks, no optimizer wrapper, nothing that can be resumed, replaced or
switched off: the least that the same histories, log lines and files cost in Python.
"""

from __future__ import annotations

import json
import math
from collections import deque
from datetime import UTC, datetime, timedelta
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from toy import Toy, make_data, make_optimizer

if TYPE_CHECKING:
    from pathlib import Path

    from lanes import Contender, Pace

INTERVAL = 10  # iterations between two lines, and those that a mean covers
KEPT = 1_000  # values of a scalar


class History:
    """A window of values, and totals over all of them."""

    def __init__(self) -> None:
        self.new: list[float] = []
        self.values: deque[float] = deque(maxlen=KEPT)
        self.counts: deque[float] = deque(maxlen=KEPT)
        self.sum = self.count = 0.0
        self.low, self.high = math.inf, -math.inf

    def take(self) -> None:
        """Take in what is new."""
        new, self.new = self.new, []
        self.values.extend(new)
        self.counts.extend([1] * len(new))
        self.sum += sum(new)
        self.count += len(new)
        self.low, self.high = min(self.low, *new), max(self.high, *new)

    def mean(self) -> float:
        """Of the newest."""
        return math.fsum(islice(reversed(self.values), INTERVAL)) / INTERVAL


class Log:
    """Writes lines for people, a log of JSON lines, and a file of scalars.

    Args:
        folder: Of the files.
        iterations: In the epoch.
    """

    def __init__(self, folder: Path, iterations: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.console: TextIO = (folder / "console.txt").open("a")
        self.json: BinaryIO = (folder / "log.jsonl").open("ab")
        self.scalars: BinaryIO = (folder / "scalars.json").open("ab")
        self.iterations = iterations

    def write(
        self, done: int, eta: float, spent: dict[str, Any], scalars: dict[str, float]
    ) -> None:
        """Write one line to each."""
        now = datetime.now(UTC).astimezone().isoformat(timespec="milliseconds")
        self.console.write(
            f"{now[:10]} {now[11:19]} INFO  Epoch(train) [1][{done:>4}/"
            f"{self.iterations}]  lr: {scalars['lr']:.4e}  "
            f"eta: {timedelta(seconds=int(eta))}  time: {scalars['time']:.4f}  "
            f"data_time: {scalars['data_time']:.4f}  loss: {scalars['loss']:.4f}\n"
        )
        self.console.flush()
        tag = {**scalars, "epoch": 1, "iter": done}
        record = {"timestamp": now, "level": "info", "event": "train", "run": "bench"}
        record |= {"rank": 0, "time_spent": spent, **tag}
        for file, one in ((self.json, record), (self.scalars, {**tag, "step": done})):
            file.write(json.dumps(one).encode("ascii") + b"\n")
            file.flush()


def by_hand(scenario: str, folder: Path) -> Contender:
    """The loop as a contender."""

    def run(pace: Pace, iterations: int) -> None:
        model = Toy(scenario, pace)
        optimizer = make_optimizer(model)
        step = model.plain_step(optimizer)
        log = Log(folder, iterations)
        histories = {name: History() for name in ("lr", "time", "data_time", "loss")}
        rates, times, waits, losses = histories.values()
        facts: dict[str, float] = {}
        data_seconds = step_seconds = 0.0
        samples = 0
        began = last = perf_counter()
        for done, batch in enumerate(make_data(scenario, iterations), start=1):
            waited = perf_counter() - last
            waits.new.append(waited)
            data_seconds += waited
            rates.new.append(optimizer.param_groups[0]["lr"])
            output = step(batch)
            for value in output.values():
                losses.new.append(value.item())
            samples += len(batch[0])
            now = perf_counter()
            times.new.append(now - last)
            step_seconds += now - last - waited
            last = now
            facts["iter"] = done
            facts["eta"] = (now - began) / done * (iterations - done)
            if done % INTERVAL == 0:
                for history in histories.values():
                    history.take()
                spent = {
                    "data": round(data_seconds, 6),
                    "step": round(step_seconds, 6),
                    "training": round(now - began, 6),
                    "iterations": done,
                    "samples": samples,
                }
                scalars = {"lr": rates.values[-1], "time": times.mean()}
                scalars |= {"data_time": waits.mean(), "loss": losses.mean()}
                log.write(done, facts["eta"], spent, scalars)

    return run
