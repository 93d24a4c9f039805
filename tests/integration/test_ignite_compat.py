"""Ignite's events, handlers and metrics work on our engines as on a stock Engine."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import ignite.engine
import ignite.handlers
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ignite.engine import Engine, EventEnum
from ignite.handlers import EarlyStopping, TerminateOnNan, Timer
from ignite.metrics import Accuracy, RunningAverage

from engine.errors import EventError, StateError
from engine.events import Events
from engine.loops import EvalEngine, TrainEngine
from engine.state import Phase, RunState
from tests.strategies import filter_arguments
from tests.toys import quiet_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    Step = Callable[[Any, Any], Any]

THEIRS = ignite.engine.Events
COUNTED = (
    "STARTED",
    "EPOCH_STARTED",
    "ITERATION_STARTED",
    "ITERATION_COMPLETED",
    "EPOCH_COMPLETED",
    "COMPLETED",
)
ALL = (
    *COUNTED,
    "GET_BATCH_STARTED",
    "GET_BATCH_COMPLETED",
    "DATALOADER_STOP_ITERATION",
    "TERMINATE_SINGLE_EPOCH",
    "TERMINATE",
    "INTERRUPT",
)


def theirs(name: str) -> Any:
    """Ignite's event of that name."""
    return getattr(THEIRS, name)


def echo(_: object, batch: Any) -> Any:
    """A step that returns its batch."""
    return batch


def stock(step: Step = echo) -> Engine:
    """An engine of Ignite's own."""
    return Engine(step)


def ours(step: Step = echo) -> TrainEngine:
    """A trainer of ours."""
    return TrainEngine(
        step, RunState(seed=0), facilities={"logger": quiet_logger()}, work_dir="none"
    )


def evaluation(step: Step = echo) -> EvalEngine:
    """An evaluating engine of ours."""
    return EvalEngine(step, RunState(seed=0))


def watch(engine: Engine, names: tuple[str, ...] = ALL) -> list[Any]:
    """Note each event with what a handler sees of the engine's state."""
    story: list[Any] = []

    def noting(name: str) -> Callable[..., None]:
        def note(engine: Engine, iter_counter: int | None = None) -> None:
            state = engine.state
            seen = (state.epoch, state.iteration, state.max_epochs, state.epoch_length)
            batch = state.batch if name.startswith("ITERATION") else None
            output = state.output if name == "ITERATION_COMPLETED" else None
            story.append((name, *seen, batch, output, iter_counter))

        return note

    for name in names:
        engine.add_event_handler(theirs(name), noting(name))
    return story


# -- events and filters --------------------------------------------------------------


@given(batches=st.integers(1, 5), epochs=st.integers(1, 4), length=st.integers(0, 7))
def test_events_come_in_ignites_order_with_ignites_state(
    batches: int, epochs: int, length: int
) -> None:
    """Also where an epoch is shorter or longer than a pass over the data."""
    data = list(range(batches))
    stories = []
    for engine in (stock(), ours()):
        story = watch(engine)
        engine.run(data, max_epochs=epochs, epoch_length=length or None)
        stories.append(story)
    assert stories[1] == stories[0]


@given(batches=st.integers(1, 5), length=st.integers(0, 5))
def test_an_evaluation_is_one_epoch_of_ignites(batches: int, length: int) -> None:
    """Twice in a row, each from the start."""
    length = min(length, batches)
    data = list(range(batches))
    stock_engine, eval_engine = stock(), evaluation()
    stories = watch(stock_engine, COUNTED), watch(eval_engine, COUNTED)
    for _ in range(2):
        stock_engine.run(data, max_epochs=1, epoch_length=length or None)
        eval_engine.run(data, epoch_length=length or None)
    assert stories[1] == stories[0]


@st.composite
def filtered_events(draw: st.DrawFn) -> Any:
    """Ignite's events with and without filters, one or several joined by ``|``."""
    joined: Any = None
    for _ in range(draw(st.integers(1, 3), label="joined")):
        event: Any = theirs(draw(st.sampled_from(COUNTED), label="event"))
        if draw(st.booleans(), label="filtered"):
            arguments = st.one_of(
                filter_arguments(),
                st.sampled_from([{"event_filter": lambda _, count: count % 3 == 1}]),
            )
            event = event(**draw(arguments, label="filter"))
        joined = event if joined is None else joined | event
    return joined


@given(
    events=st.lists(filtered_events(), min_size=1, max_size=4),
    batches=st.integers(1, 7),
    epochs=st.integers(1, 5),
)
def test_filtered_handlers_run_at_the_same_counts(
    events: list[Any], batches: int, epochs: int
) -> None:
    """Any of Ignite's events, filtered and joined, on ours as on a stock Engine."""
    stories = []
    for engine in (stock(), ours()):
        story: list[Any] = []

        def note(engine: Engine, number: int, story: list[Any] = story) -> None:
            story.append((number, engine.state.epoch, engine.state.iteration))

        for number, event in enumerate(events):
            engine.add_event_handler(event, note, number)
        engine.run(list(range(batches)), max_epochs=epochs)
        stories.append(story)
    assert stories[1] == stories[0]


@given(
    events=st.lists(filtered_events(), min_size=1, max_size=4),
    batches=st.integers(1, 7),
)
def test_filtered_handlers_of_an_evaluation_run_at_the_same_counts(
    events: list[Any], batches: int
) -> None:
    """On an evaluating engine too, in each of two evaluations."""
    stories = []
    for engine in (stock(), evaluation()):
        story: list[Any] = []

        def note(engine: Engine, number: int, story: list[Any] = story) -> None:
            story.append((number, engine.state.epoch, engine.state.iteration))

        for number, event in enumerate(events):
            engine.add_event_handler(event, note, number)
        for _ in range(2):
            engine.run(list(range(batches)))
        stories.append(story)
    assert stories[1] == stories[0]


@pytest.mark.parametrize("name", COUNTED)
def test_our_events_are_ignites(name: str) -> None:
    """Ours and Ignite's members compare equal, filtered too, on both engines."""
    assert Events[name] == theirs(name)
    assert hash(Events[name]) == hash(theirs(name))
    event: Any = Events[name]
    for engine in (stock(), ours()):
        calls: list[int] = []
        engine.add_event_handler(event, calls.append, 1)
        engine.add_event_handler(event(every=2), calls.append, 2)
        engine.add_event_handler(Events.STARTED | theirs(name), calls.append, 3)
        engine.run([0, 1], max_epochs=2)
        assert {1, 2, 3} == set(calls)
        assert engine.has_event_handler(calls.append, theirs(name))


@pytest.mark.parametrize("name", ["GET_BATCH_STARTED", "GET_BATCH_COMPLETED"])
def test_fetching_counts_batches_from_1(name: str) -> None:
    """On purpose: a stock Engine counts from 0 there, and only there."""
    trainer = ours()
    fetched: list[int] = []

    def note(engine: Engine) -> None:
        fetched.append(engine.state.iteration + 1)

    trainer.add_event_handler(theirs(name)(every=2), note)
    trainer.add_event_handler(theirs(name)(once=1), note)
    trainer.run(list(range(5)))
    assert fetched == [1, 2, 4]


# -- how handlers are called -----------------------------------------------------------


def test_a_default_is_never_overwritten_by_the_engine() -> None:
    """A parameter with a default keeps it; one without gets the engine."""
    trainer = ours()
    seen: list[Any] = []

    def only_default(number: int = 3) -> None:
        seen.append(number)

    def engine_and_default(engine: Engine, number: int = 4) -> None:
        seen.append((engine, number))

    def keyword_only(*, number: int = 5) -> None:
        seen.append(number)

    def anything(*args: Any, **kwargs: Any) -> None:
        seen.append((args, kwargs))

    trainer.add_event_handler(Events.STARTED, only_default)
    trainer.add_event_handler(Events.STARTED, engine_and_default)
    trainer.add_event_handler(Events.STARTED, keyword_only)
    trainer.add_event_handler(Events.STARTED, anything, 6, x=7)
    trainer.run([0])
    assert seen == [3, (trainer, 4), 5, ((trainer, 6), {"x": 7})]


def test_further_arguments_follow_the_engine() -> None:
    """As in Ignite: by position and by name, with and without the engine in front."""
    for engine in (stock(), ours()):
        seen: list[Any] = []

        def with_engine(engine: Engine, a: int, b: int, seen: list[Any] = seen) -> None:
            seen.append((engine.state.iteration, a, b))

        engine.add_event_handler(THEIRS.ITERATION_COMPLETED, with_engine, 1, b=2)
        engine.add_event_handler(THEIRS.COMPLETED, seen.append, "done")
        engine.run([0, 0])
        assert seen == [(1, 1, 2), (2, 1, 2), "done"]


def test_a_handler_that_cannot_be_called_is_refused_at_registration() -> None:
    """The error names the handler, its signature and the event."""

    def wants_two(one: Any, two: Any) -> None:
        raise AssertionError

    with pytest.raises(EventError, match=r"wants_two\(one.*cannot handle STARTED"):
        ours().add_event_handler(Events.STARTED, wants_two)


def test_a_type_error_inside_a_handler_is_the_users() -> None:
    """Signatures are not guessed by calling and catching TypeError."""
    trainer = ours()
    calls = []

    @trainer.on(Events.STARTED)
    def broken(engine: Engine) -> None:
        calls.append(engine)
        len(5)  # type: ignore[arg-type]  # the mistake tested

    with pytest.raises(TypeError, match="has no len"):
        trainer.run([0])
    assert calls == [trainer]


# -- custom events ---------------------------------------------------------------------


class Backprop(EventEnum):
    """Events of a user's own, as Ignite's manual shows them."""

    BACKWARD = "backward"
    UPDATED = "updated"


def test_custom_events_fire_as_on_a_stock_engine() -> None:
    """Members, filtered members and plain strings, fired from inside the step."""
    stories = []

    def step(engine: Engine, batch: int) -> int:
        engine.fire_event(Backprop.BACKWARD)
        engine.fire_event("halfway")
        engine.state.updates += 1  # type: ignore[attr-defined]  # registered below
        engine.fire_event(Backprop.UPDATED)
        return batch

    for engine in (stock(step), ours(step)):
        story: list[Any] = []
        engine.register_events(*Backprop, event_to_attr={Backprop.UPDATED: "updates"})
        engine.register_events("halfway")

        def note(engine: Engine, name: str, story: list[Any] = story) -> None:
            story.append((name, engine.state.iteration))

        engine.add_event_handler(Backprop.BACKWARD, note, "backward")
        engine.add_event_handler("halfway", note, "halfway")
        engine.add_event_handler(Backprop.UPDATED(every=2), note, "every other")
        engine.add_event_handler(Backprop.UPDATED(once=3), note, "third")
        engine.run([0, 1], max_epochs=2)
        stories.append(story)
    assert stories[1] == stories[0]
    assert ("third", 3) in stories[1]


def test_a_custom_event_without_a_counter_counts_its_firings() -> None:
    """Filters work on it too, where stock Ignite cannot tell."""
    trainer = ours()
    trainer.register_events(*Backprop)
    calls: list[int] = []
    trainer.add_event_handler(
        Backprop.BACKWARD(every=3), lambda: calls.append(trainer.state.iteration)
    )
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda: trainer.fire_event(Backprop.BACKWARD)
    )
    trainer.run(list(range(10)))
    assert calls == [3, 6, 9]


def test_an_unknown_event_gives_the_nearest_name() -> None:
    """For registering and for firing alike; ValueError as in Ignite."""
    trainer = ours()
    message = r"^TrainEngine has no event 'halfway'\..*register_events\(\)"
    with pytest.raises(ValueError, match=message):
        trainer.add_event_handler("halfway", echo)
    with pytest.raises(EventError, match=message):
        trainer.fire_event("halfway")
    with pytest.raises(EventError, match="Did you mean 'STARTED'"):
        trainer.add_event_handler("STARTD", echo)


# -- removing --------------------------------------------------------------------------


def test_handlers_are_found_and_removed_as_in_ignite() -> None:
    """By handler and event; by the handle; by using the handle as a context."""
    for engine in (stock(), ours()):
        calls: list[str] = []
        engine.add_event_handler(THEIRS.STARTED, calls.append, "one")
        handle = engine.add_event_handler(
            THEIRS.STARTED | THEIRS.COMPLETED(every=1), calls.remove, "one"
        )
        assert engine.has_event_handler(calls.append)
        assert engine.has_event_handler(calls.remove, THEIRS.COMPLETED)
        assert not engine.has_event_handler(calls.append, THEIRS.COMPLETED)
        engine.remove_event_handler(calls.append, THEIRS.STARTED)
        assert not engine.has_event_handler(calls.append)
        with handle:
            pass
        assert not engine.has_event_handler(calls.remove)
        with pytest.raises(ValueError):  # noqa: PT011 - each says it in its own words
            engine.remove_event_handler(calls.append, THEIRS.STARTED)


# -- errors ----------------------------------------------------------------------------


class Burst(Exception):  # noqa: N818 - a user's own
    """What handlers raise here."""


def notes(error: BaseException) -> list[str]:
    """The notes on an error that are about the handler ``burst``."""
    return [note for note in getattr(error, "__notes__", ()) if "burst" in note]


@pytest.mark.parametrize("name", COUNTED)
def test_an_error_reaches_the_caller_once_with_a_note(name: str) -> None:
    """The note names handler, event and iteration; EXCEPTION_RAISED runs once."""
    trainer = ours()
    told: list[BaseException] = []

    @trainer.on(theirs(name))
    def burst(engine: Engine) -> None:
        raise Burst("pop")

    @trainer.on(THEIRS.EXCEPTION_RAISED)
    def swallow(engine: Engine, error: BaseException) -> None:
        told.append(error)  # and does not raise it again

    with pytest.raises(Burst, match="pop") as caught:
        trainer.run([0, 1], max_epochs=2)
    done = trainer.run_state.iteration
    (note,) = notes(caught.value)
    assert note.startswith("in ")
    assert f"burst on {name}, iteration {done}" in note
    assert told == [caught.value]
    assert trainer.run_state.phase is Phase.FAILED


def test_an_error_in_the_step_reaches_the_caller_once() -> None:
    """From the iteration that failed nothing is counted."""

    def step(_: Engine, batch: int) -> None:
        if batch == 2:
            raise Burst("pop")

    trainer = ours(step)
    told: list[BaseException] = []
    trainer.add_event_handler(Events.EXCEPTION_RAISED, lambda _, e: told.append(e))
    with pytest.raises(Burst, match="pop") as caught:
        trainer.run([0, 1, 2, 3])
    assert told == [caught.value]
    assert trainer.run_state.iteration == 2


def test_a_handler_of_the_error_that_raises_it_again_runs_once() -> None:
    """Ignite's own advice for EXCEPTION_RAISED does no harm."""
    trainer = ours()
    told = []

    @trainer.on(Events.EXCEPTION_RAISED)
    def again(engine: Engine, error: BaseException) -> None:
        told.append(error)
        raise error

    @trainer.on(Events.ITERATION_COMPLETED)
    def burst(engine: Engine) -> None:
        raise Burst("pop")

    with pytest.raises(Burst) as caught:
        trainer.run([0])
    assert told == [caught.value]


def test_a_second_error_in_a_handler_of_the_first_shows_both() -> None:
    """Neither hides the other."""
    trainer = ours()

    @trainer.on(Events.EXCEPTION_RAISED)
    def worse(engine: Engine, error: BaseException) -> None:
        raise RuntimeError("while cleaning up")

    @trainer.on(Events.ITERATION_COMPLETED)
    def burst(engine: Engine) -> None:
        raise Burst("pop")

    with pytest.raises(RuntimeError, match="while cleaning up") as caught:
        trainer.run([0])
    assert isinstance(caught.value.__cause__, Burst)


def test_an_error_in_a_validation_reaches_the_caller_of_training() -> None:
    """With a note that says where in the validation; training has failed too."""
    trainer, validator = ours(), evaluation()
    trainer.validate_with(validator, [0, 1, 2])

    @validator.on(THEIRS.ITERATION_COMPLETED(once=2))
    def burst(engine: Engine) -> None:
        raise Burst("pop")

    with pytest.raises(Burst) as caught:
        trainer.run([0, 1, 2, 3])
    (note,) = notes(caught.value)
    assert "burst on ITERATION_COMPLETED, validating at iteration 4" in note
    assert trainer.run_state.phase is Phase.FAILED


# -- stopping --------------------------------------------------------------------------


@given(
    event=st.sampled_from(["ITERATION_STARTED", "ITERATION_COMPLETED"]),
    once=st.integers(1, 8),
    how=st.sampled_from(
        ["terminate", "terminate(skip)", "terminate_epoch", "terminate_epoch(skip)"]
    ),
)
def test_termination_takes_ignites_course(event: str, once: int, how: str) -> None:
    """The same events follow as on a stock Engine.

    A stock Engine breaks off an iteration that asks for its own end before its step;
    ours finishes it first, for between iterations are the safe points. So ours is
    asked at the start of an iteration, the stock one at its end.
    """
    calls: dict[str, Callable[[Any], None]] = {
        "terminate": lambda engine: engine.terminate(),
        "terminate(skip)": lambda engine: engine.terminate(skip_completed=True),
        "terminate_epoch": lambda engine: engine.terminate_epoch(),
        "terminate_epoch(skip)": lambda engine: engine.terminate_epoch(
            skip_epoch_completed=True
        ),
    }
    stories = []
    for engine in (stock(), ours()):
        story = watch(engine)
        asked = "ITERATION_COMPLETED" if type(engine) is Engine else event
        engine.add_event_handler(theirs(asked)(once=once), calls[how])
        engine.run([0, 1, 2], max_epochs=3)
        stories.append(story)
    assert stories[1] == stories[0]


@given(once=st.integers(1, 3))
def test_termination_at_an_epochs_end_takes_ignites_course(once: int) -> None:
    """No further epoch begins."""
    stories = []
    for engine in (stock(), ours()):
        story = watch(engine)
        engine.add_event_handler(
            THEIRS.EPOCH_COMPLETED(once=once), lambda engine: engine.terminate()
        )
        engine.run([0, 1], max_epochs=3)
        stories.append(story)
    assert stories[1] == stories[0]


def test_a_terminated_run_is_finished_and_says_so() -> None:
    """The state names the reason; going on needs a larger limit."""
    trainer = ours()
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=2), trainer.terminate)
    trainer.run([0, 1, 2], max_epochs=2)
    assert trainer.run_state.phase is Phase.FINISHED
    assert trainer.run_state.iteration == 2
    with pytest.raises(StateError, match=r"stopped early \(terminate\(\) was called\)"):
        trainer.run([0, 1, 2], max_epochs=2)


def test_stop_lets_the_epoch_end() -> None:
    """What follows the epoch takes place, no further epoch does."""
    trainer = ours()
    story = watch(trainer, ("ITERATION_COMPLETED", "EPOCH_COMPLETED", "COMPLETED"))
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED(once=4), lambda: trainer.stop("enough")
    )
    trainer.run([0, 1, 2], max_epochs=5)
    assert [one[0] for one in story[-3:]] == [
        "ITERATION_COMPLETED",
        "EPOCH_COMPLETED",
        "COMPLETED",
    ]
    assert (trainer.run_state.epoch, trainer.run_state.iteration) == (2, 6)
    assert trainer.run_state.stop_reason == "enough"


def test_stop_ends_a_run_by_iterations_after_the_iteration() -> None:
    """Its one epoch is completed there, and a validation that is due takes place."""
    trainer, validator = ours(), evaluation()
    trainer.validate_with(validator, [0], by_epoch=False, interval=2)
    validated: list[int] = []
    validator.add_event_handler(
        Events.COMPLETED, lambda: validated.append(trainer.run_state.iteration)
    )
    story = watch(trainer, ("EPOCH_COMPLETED", "COMPLETED"))
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED(once=4), lambda: trainer.stop("enough")
    )
    trainer.run([0, 1, 2], max_iters=20)
    assert trainer.run_state.iteration == 4
    assert [one[0] for one in story] == ["EPOCH_COMPLETED", "COMPLETED"]
    assert validated == [2, 4]


@given(cuts=st.sets(st.integers(1, 8), max_size=3))
def test_an_interrupted_run_goes_on_where_it_was(cuts: set[int]) -> None:
    """Any number of interrupts change nothing but that INTERRUPT fires there."""
    stories = []
    for engine in (stock(), ours()):
        story = watch(engine)
        engine.add_event_handler(
            THEIRS.ITERATION_COMPLETED(once=sorted(cuts or {99})),
            lambda engine: engine.interrupt(),
        )
        data = [0, 1, 2]
        engine.run(data, max_epochs=3)
        for cut in sorted(cuts):
            assert engine.state.iteration == cut
            if isinstance(engine, TrainEngine):
                assert engine.run_state.phase is Phase.INTERRUPTED
            engine.run(data, max_epochs=3)
        stories.append(story)
    assert stories[1] == stories[0]
    assert sum(one[0] == "INTERRUPT" for one in stories[1]) == len(cuts)


def test_an_evaluation_cannot_be_interrupted() -> None:
    """The error says what to do instead."""
    validator = evaluation()

    @validator.on(Events.ITERATION_COMPLETED)
    def interrupt(engine: Engine) -> None:
        engine.interrupt()

    with pytest.raises(StateError, match=r"one pass .* Call terminate\(\) to end it"):
        validator.run([0, 1, 2])


@given(once=st.integers(1, 4))
def test_a_terminated_evaluation_takes_ignites_course(once: int) -> None:
    """It ends there, and the next one is whole."""
    stories = []
    for engine in (stock(), evaluation()):
        story = watch(engine)
        handle = engine.add_event_handler(
            THEIRS.ITERATION_COMPLETED(once=once), lambda engine: engine.terminate()
        )
        engine.run([0, 1, 2])
        handle.remove()
        engine.run([0, 1, 2])
        stories.append(story)
    assert stories[1] == stories[0]


# -- Ignite's metrics and handlers -----------------------------------------------------


def predictions(seed: int, batches: int = 4) -> list[tuple[Any, Any]]:
    """Scores of three classes and true classes, some batches of them."""
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(5, 3, generator=generator),
            torch.randint(3, (5,), generator=generator),
        )
        for _ in range(batches)
    ]


def test_a_metric_on_the_trainer_has_ignites_value() -> None:
    """Each epoch's accuracy is that of a stock Engine."""
    values = []
    for engine in (stock(), ours()):
        Accuracy().attach(engine, "accuracy")
        seen: list[float] = []
        engine.add_event_handler(
            THEIRS.EPOCH_COMPLETED,
            lambda engine, seen=seen: seen.append(engine.state.metrics["accuracy"]),
        )
        engine.run(predictions(1), max_epochs=2)
        values.append(seen)
    assert len(values[1]) == 2
    assert values[1] == values[0]


def test_a_metric_on_the_evaluator_has_ignites_value() -> None:
    """Attached, or given as ``metrics``, over two evaluations of different data."""
    attached, passed = evaluation(), EvalEngine(echo, metrics={"accuracy": Accuracy()})
    reference = stock()
    Accuracy().attach(attached, "accuracy")
    Accuracy().attach(reference, "accuracy")
    for seed in (1, 2):
        expected = reference.run(predictions(seed)).metrics
        assert attached.run(predictions(seed)).metrics == expected
        assert passed.run(predictions(seed)).metrics == expected
        assert passed.metrics == expected


def test_a_running_average_has_ignites_values() -> None:
    """After each iteration, over the epoch's end."""
    stories = []
    for engine in (stock(), ours()):
        RunningAverage(output_transform=float, alpha=0.5).attach(engine, "average")
        seen: list[float] = []
        engine.add_event_handler(
            THEIRS.ITERATION_COMPLETED,
            lambda engine, seen=seen: seen.append(engine.state.metrics["average"]),
        )
        engine.run([1, 5, 2, 8], max_epochs=2)
        stories.append(seen)
    assert stories[1] == stories[0]


SCORES = [0.2, 0.5, 0.4, 0.5, 0.45, 0.9, 0.9]


def test_early_stopping_ends_training_after_the_same_epoch() -> None:
    """On a validator that runs inside training, as on stock engines."""
    ends = []
    for inside in (False, True):
        trainer: Any = ours() if inside else stock()
        validator: Any = evaluation() if inside else stock()
        scores = iter(SCORES)
        handler = EarlyStopping(2, lambda _, scores=scores: next(scores), trainer)
        validator.add_event_handler(THEIRS.COMPLETED, handler)
        if inside:
            trainer.validate_with(validator, [0])
        else:
            trainer.add_event_handler(
                THEIRS.EPOCH_COMPLETED,
                lambda _, validator=validator: validator.run([0]),
            )
        trainer.run([0, 1], max_epochs=7)
        ends.append((trainer.state.epoch, trainer.state.iteration, handler.counter))
    assert ends[1] == ends[0]
    assert ends[1][0] == 4


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_terminate_on_nan_ends_training_after_the_same_iteration(bad: float) -> None:
    """The events that follow are Ignite's too."""
    stories = []
    for engine in (stock(), ours()):
        story = watch(engine, COUNTED)
        handler = TerminateOnNan()
        engine.add_event_handler(THEIRS.ITERATION_COMPLETED, handler)
        engine.run([0.0, 1.0, 2.0, bad, 3.0], max_epochs=2)
        stories.append([one[:3] for one in story])
    assert stories[1] == stories[0]
    assert stories[1][-1] == ("COMPLETED", 1, 4)


def test_a_timer_measures_the_same_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attached to iterations, it runs during each step and pauses between them."""
    results = []
    for engine in (stock(), ours()):
        clock = itertools.count().__next__  # each look at it takes a second
        monkeypatch.setattr("ignite.handlers.timing.perf_counter", clock)
        timer = Timer(average=True)
        timer.attach(
            engine,
            start=THEIRS.EPOCH_STARTED,
            resume=THEIRS.ITERATION_STARTED,
            pause=THEIRS.ITERATION_COMPLETED,
            step=THEIRS.ITERATION_COMPLETED,
        )
        engine.run([0, 1, 2], max_epochs=2)
        results.append((timer.step_count, timer.total))
    assert results[1] == results[0]
