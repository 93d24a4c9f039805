"""Handlers run by (priority, order of registration), whatever else happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from engine.events import Events, get_priority
from engine.hooks import Hook
from engine.loops import EvalEngine
from tests.strategies import priorities
from tests.toys import echo_trainer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.events import Handle, Priority
    from engine.state import RunContext

    AnyPriority = int | str | Priority

EVENT = Events.RUN_STARTED  # of ours, and without a filter of its own
MANY = st.lists(priorities(), min_size=1, max_size=8)
FEW = st.sampled_from((30, 50, 70))  # many equal ones among several


def by_priority(given: Sequence[AnyPriority]) -> list[int]:
    """Numbers of handlers in running order, by repeatedly taking the first best."""
    waiting = dict(enumerate(map(get_priority, given)))
    order = []
    while waiting:
        best = min(waiting.values())
        first = next(number for number, value in waiting.items() if value == best)
        order.append(first)
        del waiting[first]
    return order


@given(several=MANY)
def test_handlers_run_by_priority_then_registration(
    several: list[AnyPriority],
) -> None:
    """The smaller priority first; of equal ones the one that was registered first."""
    trainer = echo_trainer()
    calls: list[int] = []
    for number, priority in enumerate(several):
        trainer.add_event_handler(EVENT, calls.append, number, priority=priority)
    trainer.fire_event(EVENT)
    trainer.fire_event(EVENT)
    assert calls == by_priority(several) * 2


@given(numbers=st.permutations(range(9)), data=st.data())
def test_the_order_of_registration_matters_among_equals_only(
    numbers: list[int], data: st.DataObject
) -> None:
    """Shuffling registrations of different priorities changes nothing."""
    levels = data.draw(st.permutations(range(3)), label="order of the levels")
    trainer = echo_trainer()
    calls: list[int] = []
    for level in levels:  # three levels, each registered 3 in a row
        for place in range(3):
            number = numbers[3 * level + place]
            trainer.add_event_handler(EVENT, calls.append, number, priority=10 * level)
    trainer.fire_event(EVENT)
    assert calls == numbers


@given(several=st.lists(st.one_of(FEW, st.none()), min_size=1, max_size=6))
def test_a_handler_without_a_priority_is_a_normal_one(
    several: list[int | None],
) -> None:
    """Registering the Ignite way, without a priority, means NORMAL."""
    trainer = echo_trainer()
    calls: list[int] = []
    for number, priority in enumerate(several):
        trainer.add_event_handler(EVENT, calls.append, number, priority=priority)
    trainer.fire_event(EVENT)
    assert calls == by_priority([50 if one is None else one for one in several])


class Noting(Hook):
    """Notes at each of its events that it was called."""

    def __init__(self, number: int, calls: list[tuple[str, int]]) -> None:
        self.number = number
        self.calls = calls

    def before_train(self, runner: RunContext) -> None:
        self.calls.append(("before_train", self.number))

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        self.calls.append(("after_train_iter", self.number))

    def before_val(self, runner: RunContext) -> None:
        self.calls.append(("before_val", self.number))

    def after_run(self, runner: RunContext) -> None:
        self.calls.append(("after_run", self.number))


@given(several=MANY, data=st.data())
def test_hooks_run_by_priority_then_registration(
    several: list[AnyPriority], data: st.DataObject
) -> None:
    """Hooks run in one order at all their events, under any order of registration.

    On the validator too, whenever that joins the run.
    """
    numbers = data.draw(st.permutations(range(len(several))), label="registered")
    joins = data.draw(st.sampled_from(numbers), label="the validator joins before")
    calls: list[tuple[str, int]] = []
    trainer = echo_trainer()
    for number in numbers:
        if number == joins:
            trainer.validate_with(EvalEngine(lambda _, batch: batch), [0.0])
        trainer.add_hook(Noting(number, calls), several[number])
    trainer.run([0.0])
    order = [numbers[place] for place in by_priority([several[n] for n in numbers])]
    for event in ("before_train", "after_train_iter", "before_val", "after_run"):
        assert [number for name, number in calls if name == event] == order
    hooks = [hook.number for hook in trainer.context.hooks]
    assert hooks == order


@given(several=st.lists(st.tuples(FEW, st.booleans()), min_size=1, max_size=8))
def test_hooks_and_handlers_share_one_order(several: list[tuple[int, bool]]) -> None:
    """A hook's method and a plain handler of the same event stand in one line."""
    trainer = echo_trainer()
    calls: list[tuple[str, int]] = []
    for number, (priority, is_hook) in enumerate(several):
        if is_hook:
            trainer.add_hook(Noting(number, calls), priority)
        else:
            trainer.add_event_handler(
                Events.ITERATION_COMPLETED,
                calls.append,
                ("after_train_iter", number),
                priority=priority,
            )
    trainer.run([0.0])
    order = by_priority([priority for priority, _ in several])
    assert [n for name, n in calls if name == "after_train_iter"] == order


@given(
    several=st.lists(
        st.tuples(FEW, st.integers(1, 2), st.integers(0, 7)), min_size=1, max_size=8
    )
)
def test_removal_while_running_takes_effect_at_once(
    several: list[tuple[int, int, int]],
) -> None:
    """A handler that removes another, or itself, is the last thing that one sees.

    Each handler removes the one whose number it was given, if there is one: a later
    one of the same event does not run any more, an earlier one from the next time on.
    Some handlers have a filter.
    """
    trainer = echo_trainer()
    handles: dict[int, Handle] = {}
    calls: list[int] = []
    fired = 1

    def call(number: int, target: int) -> None:
        calls.append(number)
        if target in handles:
            handles[target].remove()

    for number, (priority, every, target) in enumerate(several):
        handles[number] = trainer.add_event_handler(
            EVENT(every=every), call, number, target, priority=priority
        )
    gone: set[int] = set()
    expected = []
    for fired in (1, 2, 3):
        for number in by_priority([priority for priority, _, _ in several]):
            _, every, target = several[number]
            if number not in gone and fired % every == 0:
                expected.append(number)
                gone.add(target)
        trainer.fire_event(EVENT)
        assert calls == expected


@given(
    several=st.lists(FEW, min_size=1, max_size=5),
    added=st.lists(st.tuples(st.integers(0, 4), FEW), min_size=1, max_size=4),
)
def test_addition_while_running_takes_effect_at_the_next_occurrence(
    several: list[int], added: list[tuple[int, int]]
) -> None:
    """A handler that a handler adds waits for the event to happen again."""
    trainer = echo_trainer()
    calls: list[int] = []
    priority_of = list(several)  # of every handler, in order of registration
    first = True

    def call(number: int) -> None:
        calls.append(number)
        if not first:
            return
        for adder, priority in added:
            if adder == number:
                newcomer = len(priority_of)
                priority_of.append(priority)
                trainer.add_event_handler(EVENT, call, newcomer, priority=priority)

    for number, priority in enumerate(several):
        trainer.add_event_handler(EVENT, call, number, priority=priority)
    trainer.fire_event(EVENT)
    assert calls == by_priority(several)
    calls.clear()
    first = False
    trainer.fire_event(EVENT)
    assert calls == by_priority(priority_of)
