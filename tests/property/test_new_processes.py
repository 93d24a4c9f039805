"""The headline, in new processes: stopped by a signal, resumed, maybe twice."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from attrs import asdict, evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import forked, planned
from tests.property.test_resume import run_plans

if TYPE_CHECKING:
    from tests.runs import RunPlan


def train(plan: RunPlan, work_dir: Path, *options: str) -> str:
    """What a new process that trains so prints last."""
    script = str(planned.__file__)
    words = [script, json.dumps(asdict(plan)), str(work_dir), *options]
    done = forked.run(*words, cwd=work_dir.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@settings(max_examples=12)
@given(
    plan=run_plans(),
    accumulate=st.integers(1, 5),
    workers=st.tuples(*[st.integers(0, 2)] * 3),
    data=st.data(),
)
def test_stopped_and_resumed_in_new_processes(
    plan: RunPlan, accumulate: int, workers: tuple[int, int, int], data: st.DataObject
) -> None:
    """Whatever the number of loader processes, then and now."""
    plan = evolve(plan, accumulate=accumulate)
    # At the last iteration nothing is left to stop.
    places = st.integers(1, max(plan.iterations - 1, 1))
    stops = sorted(data.draw(st.sets(places, min_size=1, max_size=2), label="stops"))
    with TemporaryDirectory() as folder:
        expected = train(plan, Path(folder, "whole"))
        options: list[str] = []
        for stop, count in zip(stops, workers, strict=False):
            part = evolve(plan, workers=count)
            ended = train(part, Path(folder, "cut"), *options, "--stop", str(stop))
            options = ["--resume"]
            if plan.iterations > 1:
                assert ended == str(int(signal.SIGTERM))
        rest = evolve(plan, workers=workers[-1])
        assert train(rest, Path(folder, "cut"), *options) == expected
