"""One toy run in a process of its own, as a script: a plan comes in, a story goes out.

``python planned.py PLAN WORK_DIR [--resume] [--stop ITERATION]``: the plan as JSON;
``--stop`` sends the process SIGTERM after that iteration. The last line that is printed
is a digest of the story, or of a run that was stopped the signal's number.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import CheckpointHook, Hook
from engine.errors import RunInterrupted
from tests.runs import Recorder, RunPlan, make_runner, story

if TYPE_CHECKING:
    from engine.state import RunContext

__all__ = ["main"]


class StopAfter(Hook):
    """Sends this process a signal after an iteration.

    Args:
        iteration: Which, from 1; ``None``: never.
    """

    def __init__(self, iteration: int | None) -> None:
        self.iteration = iteration

    def after_train_iter(self, runner: RunContext, *_: Any, **__: Any) -> None:
        if runner.state.iteration == self.iteration:
            os.kill(os.getpid(), signal.SIGTERM)


def main() -> str:
    """Train as the command line says; what it came to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("plan", type=json.loads)
    parser.add_argument("work_dir", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--stop", type=int)
    given = parser.parse_args()
    saving = CheckpointHook(interval=3, by_epoch=False)
    runner = make_runner(
        RunPlan(**given.plan),
        given.work_dir,
        custom_hooks=[Recorder(), saving, StopAfter(given.stop)],
        resume="exact" if given.resume else False,
    )
    try:
        runner.train()
    except RunInterrupted as error:
        return str(error.signal)
    told = json.dumps(story(runner), sort_keys=True, default=repr)
    return hashlib.sha256(told.encode()).hexdigest()


if __name__ == "__main__":
    print(main())  # noqa: T201  # what who started it reads
