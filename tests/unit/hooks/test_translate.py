"""From hooks to handlers."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import HookError
from engine.hooks import Hook, HookNameWarning
from engine.loops import EvalEngine, TrainEngine
from engine.state import RunState
from tests.toys import echo_trainer


def trainer_with(hook: Hook) -> TrainEngine:
    """A trainer with one hook."""
    trainer = echo_trainer()
    trainer.add_hook(hook)
    return trainer


def hook_with(**methods: Any) -> Hook:
    """A hook of a class with these methods."""
    made: Hook = type("Own", (Hook,), methods)()
    return made


def test_only_overridden_methods_are_registered() -> None:
    """An event without an overridden method has no handler."""

    class One(Hook):
        def after_train_iter(
            self,
            runner: Any,
            batch_idx: int,
            data_batch: Any = None,
            outputs: Any = None,
        ) -> None: ...

    assert trainer_with(Hook()).bus.order() == {}
    assert trainer_with(One()).bus.order() == {
        "ITERATION_COMPLETED": [("NORMAL", "One.after_train_iter")]
    }


def test_methods_go_to_the_engine_of_their_mode() -> None:
    """Validation's to the validator, the run's own to each that may lead."""
    hook = hook_with(
        before_train_epoch=lambda self, runner: None,
        before_val_epoch=lambda self, runner: None,
        before_test_epoch=lambda self, runner: None,
        before_run=lambda self, runner: None,
    )
    trainer = trainer_with(hook)
    validator = EvalEngine(lambda _, batch: batch)
    trainer.validate_with(validator, [0])
    tester = EvalEngine(lambda _, batch: batch, RunState(seed=0), mode="test")
    tester.join(trainer.context, trainer.run_state)
    for engine, mode in ((trainer, "train"), (validator, "val"), (tester, "test")):
        assert engine.bus.order() == {
            "RUN_STARTED": [("NORMAL", "Own.before_run")],
            "EPOCH_STARTED": [("NORMAL", f"Own.before_{mode}_epoch")],
        }


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("before_trian_epoch", "before_train_epoch"),
        ("after_train_iteration", "after_train_iter"),
        ("after_val_epochs", "after_val_epoch"),
        ("on_exeption", "on_exception"),
        ("before_epochs", "before_epoch"),
    ],
)
def test_a_method_that_nearly_names_an_event_is_warned_of(name: str, near: str) -> None:
    """The warning says what was meant, and how to reach it otherwise."""
    hook = hook_with(**{name: lambda self, runner: None})
    with pytest.warns(HookNameWarning, match=rf"Own\.{name} names no event") as caught:
        trainer_with(hook)
    (warning,) = caught
    assert f"Did you mean '{near}'?" in str(warning.message)
    assert f"runner.call_hook('{name}')" in str(warning.message)
    assert warning.category is HookNameWarning


@pytest.mark.parametrize(
    "name", ["before_lunch", "after_the_party", "on_fire", "close_train_epoch"]
)
def test_a_point_of_a_users_own_is_no_mistake(name: str) -> None:
    """Names that are not close to an event's pass without a warning."""
    called: list[str] = []
    hook = hook_with(**{name: lambda self, runner: called.append(name)})
    trainer = trainer_with(hook)
    trainer.run([0])
    assert called == []
    trainer.context.call_hook(name)
    assert called == [name]


def test_an_attribute_with_an_events_name_is_refused() -> None:
    """What cannot be called would fail in the middle of a run."""
    with pytest.raises(HookError, match=r"^Own\.before_run is an int: the name"):
        trainer_with(hook_with(before_run=3))


def test_a_method_that_does_not_take_what_its_event_gives_is_refused() -> None:
    """At registration, with the method's signature and the call."""
    hook = hook_with(after_train_iter=lambda self, runner: None)
    message = (
        r"^Own\.after_train_iter\(runner\) is called as "
        r"after_train_iter\(runner, batch_idx, data_batch, outputs\)"
    )
    with pytest.raises(HookError, match=message):
        trainer_with(hook)


def test_a_refused_hook_leaves_nothing_behind() -> None:
    """No method of it runs, and the name is free."""
    calls: list[int] = []
    hook = hook_with(
        before_run=lambda self, runner: calls.append(1),
        after_train_iter=lambda self, runner: None,
    )
    trainer = echo_trainer()
    with pytest.raises(HookError):
        trainer.add_hook(hook)
    trainer.run([0])
    assert calls == []
    assert trainer.context.hooks == []


SEEN: list[Any] = []


def _positional(self: Hook, runner: Any, index: int, batch: Any, output: Any) -> None:
    SEEN.append((index, batch, output))


def _usual(
    self: Hook, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
) -> None:
    SEEN.append((batch_idx, data_batch, outputs))


def _shuffled(
    self: Hook, runner: Any, outputs: Any, data_batch: Any, batch_idx: int
) -> None:
    SEEN.append((batch_idx, data_batch, outputs))


def _keywords(self: Hook, runner: Any, *, batch_idx: int, **others: Any) -> None:
    SEEN.append((batch_idx, others["data_batch"], others["outputs"]))


def _all_positional(self: Hook, *args: Any) -> None:
    SEEN.append(args[1:])


def _all_keywords(self: Hook, runner: Any, **given: Any) -> None:
    SEEN.append((given["batch_idx"], given["data_batch"], given["outputs"]))


def _more(
    self: Hook,
    runner: Any,
    batch_idx: int,
    data_batch: Any = None,
    outputs: Any = None,
    mine: int = 3,
) -> None:
    assert mine == 3
    SEEN.append((batch_idx, data_batch, outputs))


@pytest.mark.parametrize(
    "method", [_usual, _shuffled, _keywords, _all_positional, _all_keywords, _more]
)
def test_arguments_reach_a_method_by_their_names(method: Any) -> None:
    """In the usual order, in another, or collected: each gets what it asks for."""
    SEEN.clear()
    trainer_with(hook_with(after_train_iter=method)).run(["a", "b"])
    assert SEEN == [(0, "a", "a"), (1, "b", "b")]


def test_arguments_under_other_names_are_refused() -> None:
    """The engine passes by name where the order is not the usual one."""
    with pytest.raises(HookError, match="is called as after_train_iter"):
        trainer_with(hook_with(after_train_iter=_positional))


def test_metrics_and_errors_reach_their_methods() -> None:
    """The arguments of the other points: metrics, a checkpoint, an error."""
    seen: list[Any] = []
    hook = hook_with(
        after_val_epoch=lambda self, runner, metrics=None: seen.append(metrics),
        on_exception=lambda self, runner, error: seen.append(error),
    )
    validator = EvalEngine(lambda _, batch: 1 / batch, RunState(seed=0))
    validator.add_hook(hook)
    validator.run([1.0])
    assert seen == [{}]
    with pytest.raises(ZeroDivisionError) as caught:
        validator.run([0.0])
    assert seen == [{}, caught.value]


def test_an_error_in_a_method_names_hook_method_and_iteration() -> None:
    """As a note on the error itself."""

    def burst(self: Hook, runner: Any, batch_idx: int, *args: Any) -> None:
        if batch_idx == 1:
            raise RuntimeError("pop")

    with pytest.raises(RuntimeError, match="pop") as caught:
        trainer_with(hook_with(before_train_iter=burst)).run([0, 0, 0])
    assert "in Own.before_train_iter, iteration 1" in getattr(
        caught.value, "__notes__", []
    )


@pytest.mark.parametrize("name", ["after_epoch", "_after_epoch"])
def test_a_general_epoch_method_is_called_without_metrics(name: str) -> None:
    """As MMEngine calls it; after_val_epoch alone is given them."""
    calls: list[str] = []

    def note(self: Hook, runner: Any, mode: str = "?") -> None:
        calls.append(mode)

    trainer = trainer_with(hook_with(**{name: note}))
    trainer.validate_with(EvalEngine(lambda _, batch: batch, metrics={}), [0])
    trainer.run([0], max_epochs=1)
    assert calls == (["train", "val"] if name.startswith("_") else ["?", "?"])
