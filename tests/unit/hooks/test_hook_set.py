"""All hooks of a run."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from attrs import define, field

from engine.errors import HookError, PriorityError
from engine.events import Priority
from engine.hooks import (
    CheckpointHook,
    DistSamplerSeedHook,
    Hook,
    HookSet,
    IterTimerHook,
    LoggerHook,
    ParamSchedulerHook,
    RuntimeInfoHook,
)
from engine.loops import EvalEngine
from engine.state import RunState
from tests.toys import echo_trainer


@define(eq=False)
class Counter(Hook):
    """Counts its iterations, and remembers the count."""

    priority: ClassVar[str] = "LOW"
    count: int = 0
    lines: list[str] = field(factory=list)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.count += 1

    def before_lunch(self, runner: Any, *, dish: str) -> None:
        self.lines.append(f"{runner}: {dish}")

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        self.count = state_dict["count"]


@pytest.mark.parametrize("thing", [None, 3, object(), Hook, Counter, lambda: None])
def test_what_is_no_hook_is_refused(thing: Any) -> None:
    """The error says what is wanted; of a class, that an instance is."""
    with pytest.raises(
        HookError, match=r"is no hook: expected an object of a"
    ) as caught:
        HookSet("runner").add(thing)
    assert ("instance" in str(caught.value)) is isinstance(thing, type)


def test_a_hook_is_registered_once() -> None:
    """The same object twice would count twice."""
    hooks = HookSet("runner")
    hook = Counter()
    hooks.add(hook)
    with pytest.raises(HookError, match="this Counter is registered already"):
        hooks.add(hook)
    assert len(hooks) == 1


@pytest.mark.parametrize("priority", [101, "LOWE", 1.5])
def test_a_wrong_priority_is_refused(priority: Any) -> None:
    """And the hook is not registered."""
    hooks = HookSet("runner")
    with pytest.raises(PriorityError):
        hooks.add(Hook(), priority)
    assert len(hooks) == 0


def test_a_hooks_own_priority_counts_unless_another_is_given() -> None:
    """The class's attribute, or the argument."""
    hooks = HookSet("runner")
    assert hooks.add(Counter()).priority == 70
    assert hooks.add(Counter(), Priority.HIGH).priority == 30
    assert hooks.add(Hook()).priority == 50
    assert [record.priority for record in hooks] == [30, 50, 70]


@pytest.mark.parametrize(
    ("hook", "priority"),
    [
        (RuntimeInfoHook(), 10),
        (IterTimerHook(), 50),
        (DistSamplerSeedHook(), 50),
        (LoggerHook(), 60),
        (ParamSchedulerHook(), 70),
        (CheckpointHook(), 90),
    ],
)
def test_the_default_hooks_have_mmengines_priorities(hook: Hook, priority: int) -> None:
    """So that users' hooks find their place among them."""
    assert HookSet("runner").add(hook).priority == priority


def test_two_hooks_of_a_class_have_names_of_their_own() -> None:
    """Numbered in order of registration; a given name is taken as it is."""
    hooks = HookSet("runner")
    names = [hooks.add(Counter()).name for _ in range(3)]
    assert names == ["Counter", "Counter_2", "Counter_3"]
    special = Counter()
    assert hooks.add(special, name="special").name == "special"
    assert hooks.name_of(special) == "special"
    assert hooks.find("special") is special
    assert hooks.find("nobody") is None


def test_a_point_of_a_users_own_is_called_on_each_hook_that_has_it() -> None:
    """In running order, by name, with the run's context first."""
    hooks = HookSet("runner")
    late, early = Counter(), Counter()
    lines: list[str] = []
    late.lines = early.lines = lines
    hooks.add(late, 90)
    hooks.add(Hook())
    hooks.add(early, 10)
    hooks.call("before_lunch", dish="soup")
    assert lines == ["runner: soup", "runner: soup"]
    hooks.call("nobody_has_this", dish="soup")


def test_an_error_in_such_a_point_names_it() -> None:
    """As a note, as for events."""
    hooks = HookSet("runner")
    hooks.add(Counter())
    with pytest.raises(TypeError) as caught:
        hooks.call("before_lunch")
    assert getattr(caught.value, "__notes__", []) == ["in Counter.before_lunch"]


def test_the_listing_has_each_stage_with_its_hooks_in_order() -> None:
    """Priority and class, as MMEngine prints them."""
    hooks = HookSet("runner")

    class First(Hook):
        priority = "VERY_HIGH"

        def before_run(self, runner: Any) -> None: ...
        def after_train_iter(
            self,
            runner: Any,
            batch_idx: int,
            data_batch: Any = None,
            outputs: Any = None,
        ) -> None: ...

    hooks.add(Counter())
    hooks.add(First(), 15)
    stages = [
        [line.split() for line in stage.strip().splitlines()]
        for stage in hooks.info().split(" -------------------- ")
    ]
    assert stages == [
        [["before_run:"], ["(15", ")", "First"]],
        [["after_train_iter:"], ["(15", ")", "First"], ["(LOW", ")", "Counter"]],
    ]


def test_memory_is_kept_by_unique_name() -> None:
    """Only of hooks that remember."""
    hooks = HookSet("runner")
    hooks.add(Counter(1))
    hooks.add(Hook())
    hooks.add(Counter(5), 10)
    saved = hooks.state_dict()
    assert saved == {"Counter": {"count": 1}, "Counter_2": {"count": 5}}
    again = HookSet("runner")
    first, second = Counter(), Counter()
    again.add(first)
    again.add(second, 10)
    again.load_state_dict(saved)
    assert (first.count, second.count) == (1, 5)


def test_memory_that_does_not_fit_is_remarked() -> None:
    """A hook that is new, and one that is gone."""
    hooks = HookSet("runner")
    hooks.add(Counter(3))
    found = hooks.examine({"engine": {"hooks": {"Gone": {"count": 1}}}})
    assert [str(one) for one in found] == [
        "lost: hook 'Counter': it is new: it starts without memory",
        "lost: hook 'Gone': it is gone: its state is dropped",
    ]


def test_hooks_added_before_and_after_an_engine_joins_are_on_it() -> None:
    """The order of composing a run does not matter."""
    trainer = echo_trainer()
    seen: list[str] = []

    class Noting(Hook):
        def __init__(self, name: str) -> None:
            self.name = name

        def before_val(self, runner: Any) -> None:
            seen.append(self.name)

    validator = EvalEngine(lambda _, batch: batch)
    validator.add_hook(Noting("on the validator alone"))
    trainer.add_hook(Noting("before"))
    trainer.validate_with(validator, [0])
    trainer.add_hook(Noting("after"))
    validator.add_hook(Noting("through the validator"))
    trainer.run([0])
    assert sorted(seen) == sorted(
        ["before", "on the validator alone", "after", "through the validator"]
    )
    assert validator.context is trainer.context


def test_a_released_hook_is_called_no_more() -> None:
    """Another run can take it."""
    first = EvalEngine(lambda _, batch: batch, RunState(seed=0))
    calls: list[int] = []

    class Noting(Hook):
        def before_run(self, runner: Any) -> None:
            calls.append(1)

    first.add_hook(Noting())
    (record,) = first.context.hook_set.release()
    first.run([0])
    assert calls == []
    assert first.context.hooks == []
    second = EvalEngine(lambda _, batch: batch, RunState(seed=0))
    second.add_hook(record.hook)
    second.run([0])
    assert calls == [1]
