"""Law: what handlers ask of a trainer is part of the run, wherever it is cut."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from engine.events import Events
from engine.hooks import CheckpointHook
from engine.loops import EvalEngine, TrainEngine
from engine.state import Phase, RunState
from tests.toys import quiet_logger

REQUESTS = ("stop", "terminate", "terminate_epoch", "interrupt")
# Not STARTED: that event is fired in each process, and so would the request be.
PLACES = (
    "EPOCH_STARTED",
    "GET_BATCH_COMPLETED",
    "ITERATION_STARTED",
    "ITERATION_COMPLETED",
    "EPOCH_COMPLETED",
)


@frozen
class Asked:
    """Requests that a handler makes when ``iteration`` are done."""

    event: str
    iteration: int
    requests: tuple[str, ...]
    priority: int


class Trace:
    """A part with memory: all that the run has seen."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def state_dict(self) -> dict[str, Any]:
        return {"seen": list(self.seen)}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        self.seen = list(state_dict["seen"])


@frozen
class Case:
    """A short run with validations, and what is asked for in it."""

    bound: dict[str, int]
    epoch_length: int | None
    val: dict[str, Any] | None
    training: Asked | None
    validation: Asked | None


def asked(places: tuple[str, ...]) -> st.SearchStrategy[Asked]:
    """Up to two requests at one place of a run of at most some 14 iterations."""
    return st.builds(
        Asked,
        st.sampled_from(places),
        st.integers(0, 13),
        st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=2, unique=True).map(
            tuple
        ),
        st.sampled_from([0, 50, 95, 100]),
    )


def cases() -> st.SearchStrategy[Case]:
    """Runs by epochs and by iterations over five batches, also with odd epochs."""
    val = st.fixed_dictionaries(
        {
            "by_epoch": st.booleans(),
            "interval": st.integers(1, 3),
            "begin": st.integers(1, 2),
            "at_start": st.booleans(),
        }
    )
    return st.builds(
        Case,
        st.sampled_from([{"max_epochs": 3}, {"max_iters": 11}, {"max_iters": 14}]),
        st.sampled_from([None, 4, 9]),
        st.none() | val,
        st.none() | asked(PLACES),
        st.none() | asked(("STARTED", "ITERATION_COMPLETED", "COMPLETED")),
    )


def ask(trainer: TrainEngine, engine: Any, what: Asked) -> None:
    """Let a handler of ``engine`` make the requests."""

    def handler(_: object) -> None:
        if trainer.run_state.iteration == what.iteration:
            for request in what.requests:
                getattr(trainer, request)()

    engine.add_event_handler(Events[what.event], handler, priority=what.priority)


def make(case: Case, work_dir: Path) -> tuple[TrainEngine, Trace]:
    """The run, from scratch."""
    trace = Trace()

    def note(what: str) -> None:
        trace.seen.append(f"{what} at {trainer.run_state.iteration}")

    trainer = TrainEngine(
        lambda _, batch: note(f"batch {batch}"),
        RunState(seed=0),
        work_dir=work_dir,
        facilities={"logger": quiet_logger()},
    )
    trainer.track(trace=trace)
    if case.val is not None:
        validator = EvalEngine(lambda _, batch: note(f"validated {batch}"))
        trainer.validate_with(validator, ["v"], **case.val)
        if case.validation is not None:
            ask(trainer, validator, case.validation)
    for event in ("EPOCH_STARTED", "EPOCH_COMPLETED"):
        trainer.add_event_handler(Events[event], note, event)
    trainer.add_hook(CheckpointHook(interval=1, by_epoch=False))
    trainer.add_hook(CheckpointHook(interval=1))
    if case.training is not None:
        ask(trainer, trainer, case.training)
    return trainer, trace


def finish(case: Case, trainer: TrainEngine) -> None:
    """Run to the end, going on after each interrupt."""
    trainer.run(list("abcde"), epoch_length=case.epoch_length, **case.bound)
    while trainer.run_state.phase is Phase.INTERRUPTED:
        trainer.run()


def story(trainer: TrainEngine, trace: Trace) -> dict[str, Any]:
    """All that must be equal; the kind of the stop is part of it."""
    state = trainer.run_state.state_dict()
    del state["elapsed_seconds"]
    return {"state": state, "seen": trace.seen}


@given(case=cases())
def test_a_run_cut_anywhere_ends_as_the_one_that_was_not(case: Case) -> None:
    """Each checkpoint of a run with requests leads to the same end by itself."""
    folder = Path(tempfile.mkdtemp())
    try:
        whole = make(case, folder / "whole")
        finish(case, whole[0])
        for number, file in enumerate(sorted((folder / "whole").glob("*.pth"))):
            rest = make(case, folder / str(number))
            rest[0].resume(file)
            finish(case, rest[0])
            assert story(*rest) == story(*whole), file.name
    finally:
        shutil.rmtree(folder)
