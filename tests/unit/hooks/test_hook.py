"""The base of all hooks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine.hooks import Hook
from engine.hooks.points import POINTS
from engine.loops import EvalEngine
from tests.toys import echo_trainer

MODES = ("train", "val", "test")


def at(**place: Any) -> Any:
    """A runner that is in the middle of a run."""
    return SimpleNamespace(**place)


@pytest.mark.parametrize(
    ("n", "start", "expected"),
    [(2, 0, [1, 3, 5]), (3, 1, [3]), (1, 4, [4, 5]), (0, 0, []), (-1, 0, [])],
)
def test_every_n_counts_finished_ones_from_the_start(
    n: int, start: int, expected: list[int]
) -> None:
    """Indices of those after which ``n`` more are finished; below 1 never."""
    hook = Hook()
    epochs = [e for e in range(6) if hook.every_n_epochs(at(epoch=e), n, start)]
    iters = [i for i in range(6) if hook.every_n_train_iters(at(iter=i), n, start)]
    assert epochs == iters == expected


def test_every_n_inner_iters_counts_within_the_epoch() -> None:
    """The batch index is all it looks at."""
    hook = Hook()
    assert [i for i in range(7) if hook.every_n_inner_iters(i, 3)] == [2, 5]
    assert not any(hook.every_n_inner_iters(i, 0) for i in range(3))


def test_the_last_ones_are_recognized() -> None:
    """The last batch of a loader, the last epoch and the last iteration of a run."""
    hook = Hook()
    assert [i for i in range(4) if hook.end_of_epoch([0, 0, 0], i)] == [2]
    epochs = [at(epoch=e, max_epochs=3) for e in range(4)]
    assert [one.epoch for one in epochs if hook.is_last_train_epoch(one)] == [2]
    nothing_left_out = SimpleNamespace(iterations_left_out=0)
    iters = [at(iter=i, max_iters=5, state=nothing_left_out) for i in range(6)]
    assert [one.iter for one in iters if hook.is_last_train_iter(one)] == [4]


def test_helpers_hold_at_the_events_of_a_run() -> None:
    """Called from their methods they see the index of what is in progress."""

    class Asks(Hook):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def after_train_epoch(self, runner: Any) -> None:
            if self.every_n_epochs(runner, 2):
                self.lines.append(f"epoch {runner.epoch}")
            if self.is_last_train_epoch(runner):
                self.lines.append(f"last epoch {runner.epoch}")

        def after_train_iter(
            self,
            runner: Any,
            batch_idx: int,
            data_batch: Any = None,
            outputs: Any = None,
        ) -> None:
            if self.every_n_train_iters(runner, 4):
                self.lines.append(f"iter {runner.iter}, batch {batch_idx}")
            if self.is_last_train_iter(runner):
                self.lines.append(f"last iter {runner.iter}")

    hook = Asks()
    trainer = echo_trainer()
    trainer.add_hook(hook)
    trainer.run([0, 1, 2], max_epochs=3)
    assert hook.lines == [
        "iter 3, batch 0",
        "epoch 1",
        "iter 7, batch 1",
        "last iter 8",
        "last epoch 2",
    ]


def test_runner_iter_and_epoch_are_indices_while_handlers_run() -> None:
    """Between before_train_iter and after_train_iter; elsewhere those finished."""

    class Notes(Hook):
        def __init__(self) -> None:
            self.seen: dict[str, list[tuple[int, int]]] = {}

        def note(self, name: str, runner: Any) -> None:
            self.seen.setdefault(name, []).append((runner.epoch, runner.iter))

    def noting(name: str) -> Any:
        return lambda self, runner, *args: self.note(name, runner)

    names = [f"{when}_train{what}" for when in ("before", "after") for what in EDGES]
    for name in [*names, "before_run", "after_run", "before_val", "after_val"]:
        setattr(Notes, name, noting(name))
    hook = Notes()
    trainer = echo_trainer()
    trainer.validate_with(EvalEngine(lambda _, batch: batch), [0])
    trainer.add_hook(hook)
    trainer.run([0, 1], max_epochs=2)
    assert hook.seen == {
        "before_run": [(0, 0)],
        "before_train": [(0, 0)],
        "before_train_epoch": [(0, 0), (1, 2)],
        "before_train_iter": [(0, 0), (0, 1), (1, 2), (1, 3)],
        "after_train_iter": [(0, 0), (0, 1), (1, 2), (1, 3)],
        "after_train_epoch": [(0, 2), (1, 4)],
        "before_val": [(1, 2), (2, 4)],
        "after_val": [(1, 2), (2, 4)],
        "after_train": [(2, 4)],
        "after_run": [(2, 4)],
    }


EDGES = ("", "_epoch", "_iter")


def test_an_empty_hook_is_triggered_by_nothing() -> None:
    """So it costs nothing."""
    assert Hook().get_triggered_stages() == []


@pytest.mark.parametrize("name", POINTS)
def test_a_hook_is_triggered_by_what_it_overrides(name: str) -> None:
    """Overridden in the class, or set on the object."""
    overridden = type("Own", (Hook,), {name: lambda *_: None})()
    assert overridden.get_triggered_stages() == [name]
    given = Hook()
    setattr(given, name, lambda *_: None)
    assert given.get_triggered_stages() == [name]


def test_stages_are_listed_in_the_order_of_a_run() -> None:
    """Whatever the order in the class."""

    class Some(Hook):
        def after_run(self, runner: Any) -> None: ...
        def before_val(self, runner: Any) -> None: ...
        def before_run(self, runner: Any) -> None: ...

    assert Some().get_triggered_stages() == ["before_run", "before_val", "after_run"]


@pytest.mark.parametrize("prefix", ["", "_"])
@pytest.mark.parametrize("kind", ["before_epoch", "after_epoch"])
def test_a_general_epoch_method_serves_all_modes(prefix: str, kind: str) -> None:
    """With an underscore it is told which one."""
    calls: list[Any] = []
    method = (lambda _, runner: calls.append(1)) if not prefix else _mode_noting(calls)
    hook = type("General", (Hook,), {prefix + kind: method})()
    when, what = kind.split("_")
    stages = [f"{when}_{mode}_{what}" for mode in MODES]
    assert hook.get_triggered_stages() == stages
    for stage in stages:
        getattr(hook, stage)(None)
    assert calls == ([*MODES] if prefix else [1, 1, 1])


@pytest.mark.parametrize("prefix", ["", "_"])
@pytest.mark.parametrize("kind", ["before_iter", "after_iter"])
def test_a_general_iteration_method_serves_all_modes(prefix: str, kind: str) -> None:
    """It gets what the specific one gets, and with an underscore the mode."""
    calls: list[Any] = []

    def note(self: Hook, runner: Any, *args: Any, mode: str = "") -> None:
        calls.append((args, mode))

    hook = type("General", (Hook,), {prefix + kind: note})()
    when, what = kind.split("_")
    given = (3, "batch") if when == "before" else (3, "batch", "outputs")
    for mode in MODES:
        getattr(hook, f"{when}_{mode}_{what}")(None, *given)
    assert calls == [(given, mode if prefix else "") for mode in MODES]


def test_the_specific_method_comes_before_the_general_one() -> None:
    """A mode with a method of its own does not call the general one."""
    calls: list[str] = []

    class Both(Hook):
        def before_val_epoch(self, runner: Any) -> None:
            calls.append("own")

        def _before_epoch(self, runner: Any, mode: str = "train") -> None:
            calls.append(mode)

        def before_epoch(self, runner: Any) -> None:
            calls.append("never")

    hook = Both()
    hook.before_train_epoch(at())
    hook.before_val_epoch(at())
    hook.before_test_epoch(at())
    assert calls == ["train", "own", "test"]


def _mode_noting(calls: list[Any]) -> Any:
    def note(self: Hook, runner: Any, mode: str = "train") -> None:
        calls.append(mode)

    return note
