"""When checkpoints are saved, which stay, and which was the best."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import torch

from engine.checkpoint import Store, find_latest_checkpoint, read
from engine.errors import (
    CheckpointError,
    ConfigError,
    MetricError,
    SerializationError,
)
from engine.events import Events
from engine.hooks import CheckpointHook, Hook
from engine.loops import EvalEngine, TrainEngine
from engine.state import DueKind, RunState
from tests.toys import echo_trainer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Scores:
    """An evaluator whose values are given, one mapping for each validation."""

    def __init__(self, values: Sequence[dict[str, Any]]) -> None:
        self.values = iter(values)

    def reset(self) -> None: ...
    def process(self, **_: Any) -> None: ...
    def evaluate(self, size: int) -> dict[str, Any]:
        """The next one."""
        return next(self.values)


def files(folder: Path) -> set[str]:
    """Names of the checkpoints in a folder."""
    return {path.name for path in folder.glob("*.pth")}


def saved(folder: Path, hook: CheckpointHook, **bound: int) -> set[str]:
    """What a run of three iterations an epoch leaves in the folder."""
    trainer = echo_trainer(folder)
    trainer.add_hook(hook)
    trainer.run([1.0, 2.0, 3.0], **bound)
    return files(folder)


def scored(
    folder: Path, hook: CheckpointHook, values: Sequence[dict[str, Any]]
) -> TrainEngine:
    """A run of as many epochs as there are values, each followed by a validation."""
    trainer = echo_trainer(folder)
    evaluator = Scores(values)
    validator = EvalEngine(lambda _, batch: batch, metrics=evaluator)
    trainer.validate_with(validator, [0])
    trainer.add_hook(hook)
    trainer.run([1.0], max_epochs=len(values))
    return trainer


def accuracies(*values: float) -> list[dict[str, float]]:
    """Metrics of one name."""
    return [{"acc": value} for value in values]


# -- when ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "epochs", "expected"),
    [
        ({}, 3, [3]),
        ({"interval": 2}, 5, [2, 4, 5]),
        ({"interval": 2, "save_last": False}, 5, [2, 4]),
        ({"interval": 2, "save_begin": 2}, 7, [4, 6, 7]),
        ({"interval": 2, "save_begin": 1}, 7, [3, 5, 7]),
        ({"interval": 1, "max_keep_ckpts": 2}, 5, [4, 5]),
        ({"interval": 2, "max_keep_ckpts": 1}, 5, [5]),
        ({"interval": -1, "save_last": False}, 3, []),
    ],
)
def test_epochs_after_which_it_saves(
    tmp_path: Path, arguments: dict[str, Any], epochs: int, expected: list[int]
) -> None:
    """At the interval, counted from ``save_begin``, and at the end; the newest stay."""
    found = saved(tmp_path, CheckpointHook(**arguments), max_epochs=epochs)
    assert found == {f"epoch_{number}.pth" for number in expected}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [7]),
        ({"interval": 2}, [2, 4, 6, 7]),
        ({"interval": 2, "save_last": False}, [2, 4, 6]),
        ({"interval": 2, "save_begin": 3}, [5, 7]),
        ({"interval": 3, "max_keep_ckpts": 2}, [6, 7]),
    ],
)
def test_iterations_after_which_it_saves(
    tmp_path: Path, arguments: dict[str, Any], expected: list[int]
) -> None:
    """By iteration in a run bounded by iterations."""
    hook = CheckpointHook(by_epoch=False, **arguments)
    found = saved(tmp_path, hook, max_iters=7)
    assert found == {f"iter_{number}.pth" for number in expected}


def test_it_saves_inside_an_epoch_too(tmp_path: Path) -> None:
    """By iteration in a run bounded by epochs."""
    hook = CheckpointHook(interval=2, by_epoch=False)
    assert saved(tmp_path, hook, max_epochs=2) == {
        f"iter_{number}.pth" for number in (2, 4, 6)
    }


def test_the_pointer_names_the_newest(tmp_path: Path) -> None:
    """After every save; saves of the best leave it alone."""
    named: list[str | None] = []
    trainer = echo_trainer(tmp_path)
    validator = EvalEngine(
        lambda _, batch: batch, metrics=Scores(accuracies(0.1, 0.2, 0.3))
    )
    trainer.validate_with(validator, [0])
    trainer.add_hook(CheckpointHook(interval=2, save_best="acc"))
    trainer.add_event_handler(
        Events.EPOCH_STARTED, lambda: named.append(find_latest_checkpoint(tmp_path))
    )
    trainer.run([1.0], max_epochs=3)
    named.append(find_latest_checkpoint(tmp_path))
    second, third = (str(tmp_path / f"epoch_{number}.pth") for number in (2, 3))
    assert named == [None, None, second, third]


def test_what_is_saved_is_of_after_all_handlers_of_the_event(tmp_path: Path) -> None:
    """A hook that runs later in the same event is in the file."""

    class Late(Hook):
        priority = "LOWEST"
        count = 0

        def after_train_epoch(self, runner: Any) -> None:
            self.count += 1

        def state_dict(self) -> dict[str, int]:
            return {"count": self.count}

        def load_state_dict(self, state: dict[str, int], /) -> None: ...

    trainer = echo_trainer(tmp_path)
    trainer.add_hook(CheckpointHook(interval=1))
    trainer.add_hook(Late())
    trainer.run([1.0], max_epochs=2)
    checkpoint = torch.load(tmp_path / "epoch_1.pth", weights_only=True)
    assert checkpoint["engine"]["hooks"]["Late"] == {"count": 1}
    assert checkpoint["engine"]["at_safe_point"] is True


def test_a_save_comes_before_the_validation_that_is_due_too(tmp_path: Path) -> None:
    """The file owes the validation, so a resume pays it."""
    scored(tmp_path, CheckpointHook(interval=1), accuracies(0.1, 0.2))
    checkpoint = torch.load(tmp_path / "epoch_1.pth", weights_only=True)
    (due,) = checkpoint["engine"]["run_state"]["due"]
    assert due["owner"] == "validation"


# -- where and what --------------------------------------------------------------------


def test_another_folder_gets_one_named_like_the_work_dir(tmp_path: Path) -> None:
    """As in MMEngine."""
    hook = CheckpointHook(interval=1, out_dir=tmp_path / "elsewhere")
    assert saved(tmp_path / "run", hook, max_epochs=1) == set()
    assert files(tmp_path / "elsewhere" / "run") == {"epoch_1.pth"}


def test_names_follow_a_template(tmp_path: Path) -> None:
    """With the number in its place."""
    hook = CheckpointHook(interval=1, filename_tmpl="toy-{}.pth")
    assert saved(tmp_path, hook, max_epochs=2) == {"toy-1.pth", "toy-2.pth"}


@pytest.mark.parametrize("kept", [True, False])
def test_optimizer_and_schedules_may_be_left_out(tmp_path: Path, *, kept: bool) -> None:
    """Each by its own argument."""
    weight = torch.nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    trainer = echo_trainer(tmp_path)
    trainer.track(
        optimizer=optimizer,
        param_schedulers=torch.optim.lr_scheduler.StepLR(optimizer, 1),
    )
    hook = CheckpointHook(interval=1, save_optimizer=kept, save_param_scheduler=kept)
    trainer.add_hook(hook)
    trainer.run([1.0])
    checkpoint = torch.load(tmp_path / "epoch_1.pth", weights_only=True)
    assert ("optimizer" in checkpoint) is kept
    assert ("param_schedulers" in checkpoint) is kept


# -- the best --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "best"),
    [
        ({"save_best": "acc"}, 4),
        ({"save_best": "auto"}, 4),
        ({"save_best": "acc", "rule": "less"}, 2),
        ({"save_best": ["acc"], "rule": ["greater"]}, 4),
    ],
)
def test_the_best_so_far_is_kept(
    tmp_path: Path, arguments: dict[str, Any], best: int
) -> None:
    """One file, replaced when a better one comes; equal ones are not better."""
    hook = CheckpointHook(**arguments, save_last=False)
    values = accuracies(0.5, 0.3, 0.4, 0.9, 0.9, 0.3)
    trainer = scored(tmp_path, hook, values)
    name = f"best_acc_epoch_{best}.pth"
    assert files(tmp_path) == {name}
    assert hook.best_path(trainer.context) == tmp_path / name
    assert dict(hook.best_scores) == {"acc": values[best - 1]["acc"]}
    checkpoint = torch.load(tmp_path / name, weights_only=True)
    assert checkpoint["meta"]["epoch"] == best


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("acc", "greater"),
        ("top1", "greater"),
        ("AR@100", "greater"),
        ("auc", "greater"),
        ("precision", "greater"),
        ("coco/bbox_mAP", "greater"),
        ("mDice", "greater"),
        ("mIoU", "greater"),
        ("mAcc", "greater"),
        ("aAcc", "greater"),
        ("loss", "less"),
        ("val_loss", "less"),
    ],
)
def test_the_name_of_a_metric_says_which_is_better(
    tmp_path: Path, name: str, better: str
) -> None:
    """As MMEngine tells it."""
    hook = CheckpointHook(save_best=name, save_last=False)
    scored(tmp_path, hook, [{name: 2.0}, {name: 1.0}, {name: 3.0}])
    best = {"greater": 3, "less": 2}[better]
    assert files(tmp_path) == {f"best_{name.replace('/', '_')}_epoch_{best}.pth"}


def test_users_may_say_which_names_are_better_greater_or_less(tmp_path: Path) -> None:
    """Their keys take the place of ours."""
    hook = CheckpointHook(
        save_best=["speed", "weight"],
        greater_keys=["speed"],
        less_keys=["weight"],
        save_last=False,
    )
    values = [
        {"speed": 1, "weight": 9},
        {"speed": 3, "weight": 3},
        {"speed": 2, "weight": 5},
    ]
    scored(tmp_path, hook, values)
    assert files(tmp_path) == {"best_speed_epoch_2.pth", "best_weight_epoch_2.pth"}


def test_a_metric_is_found_behind_its_prefix(tmp_path: Path) -> None:
    """``acc`` finds ``digits/acc``."""
    hook = CheckpointHook(save_best="acc", save_last=False)
    scored(tmp_path, hook, [{"digits/acc": 1.0}])
    assert files(tmp_path) == {"best_acc_epoch_1.pth"}


def test_a_metric_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """It names what was found."""
    with pytest.raises(MetricError, match="acc"):
        scored(tmp_path, CheckpointHook(save_best="acc"), [{"speed": 1.0}])


def test_nan_is_never_the_best(tmp_path: Path) -> None:
    """Neither first nor later."""
    hook = CheckpointHook(save_best="acc", save_last=False)
    nan = float("nan")
    scored(tmp_path, hook, accuracies(nan, 0.2, nan))
    assert files(tmp_path) == {"best_acc_epoch_2.pth"}


def test_the_best_stays_when_old_ones_go(tmp_path: Path) -> None:
    """Keeping the newest does not touch it."""
    hook = CheckpointHook(interval=1, max_keep_ckpts=1, save_best="acc")
    scored(tmp_path, hook, accuracies(0.9, 0.1, 0.2))
    assert files(tmp_path) == {"epoch_3.pth", "best_acc_epoch_1.pth"}


def test_a_run_by_iterations_names_its_best_by_iteration(tmp_path: Path) -> None:
    """``best_acc_iter_2.pth``."""
    trainer = echo_trainer(tmp_path)
    trainer.validate_with(
        EvalEngine(lambda _, batch: batch, metrics=Scores(accuracies(0.1, 0.3, 0.2))),
        [0],
        by_epoch=False,
        interval=2,
    )
    trainer.add_hook(CheckpointHook(by_epoch=False, save_best="acc", save_last=False))
    trainer.run([1.0], max_iters=6)
    assert files(tmp_path) == {"best_acc_iter_4.pth"}


# -- memory ----------------------------------------------------------------------------


def test_a_resumed_run_goes_on_keeping_and_comparing(tmp_path: Path) -> None:
    """What to keep and the best so far come back; another folder is untouched."""
    values = accuracies(0.1, 0.7, 0.5, 0.6)
    arguments: dict[str, Any] = {"interval": 1, "max_keep_ckpts": 2, "save_best": "acc"}
    scored(tmp_path, CheckpointHook(**arguments), values[:2])
    trainer = echo_trainer(tmp_path)
    validator = EvalEngine(lambda _, batch: batch, metrics=Scores(values[2:]))
    trainer.validate_with(validator, [0])
    hook = CheckpointHook(**arguments)
    trainer.add_hook(hook)
    trainer.resume(tmp_path / "best_acc_epoch_2.pth")
    trainer.run([1.0], max_epochs=4)
    assert files(tmp_path) == {"epoch_3.pth", "epoch_4.pth", "best_acc_epoch_2.pth"}
    assert dict(hook.best_scores) == {"acc": 0.7}


def test_another_metric_starts_without_a_best() -> None:
    """The memory of one metric is none of another's."""
    hook = CheckpointHook(save_best="acc")
    state = {**hook.state_dict(), "best_scores": {"acc": 0.7}}
    other = CheckpointHook(save_best="loss")
    other.load_state_dict(state)
    assert dict(other.best_scores) == {}


def test_a_state_of_another_format_is_refused() -> None:
    """The error says which was found."""
    hook = CheckpointHook()
    with pytest.raises(
        SerializationError, match=r"expected state of format 2 .*found format 7"
    ):
        hook.load_state_dict({**hook.state_dict(), "format": 7})


# -- arguments -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"interval": 1.5}, r"interval=1\.5: give a whole number"),
        ({"interval": True}, "interval=True: give a whole number"),
        ({"save_begin": -1}, "save_begin=-1: give at least 0"),
        ({"save_begin": 0.5}, r"save_begin=0\.5: give a whole number"),
        ({"interval_seconds": 0}, "interval_seconds=0: give a number of seconds above"),
        ({"interval_seconds": True}, "interval_seconds=True: give a number of seconds"),
        ({"max_keep_ckpts": 0}, "max_keep_ckpts=0: give a whole number of at least 1"),
        ({"filename_tmpl": "last.pth"}, r"filename_tmpl='last\.pth' needs a {}"),
        ({"save_best": ["auto", "acc"]}, "'auto' stands alone"),
        ({"save_best": "speed"}, "whether a greater 'speed' is better cannot be told"),
        ({"save_best": "acc", "rule": "more"}, "rule='more': give 'greater' or 'less'"),
        (
            {"save_best": ["acc", "loss"], "rule": ["less"]},
            r"rule=\['less'\]: give 'greater' or 'less' for each",
        ),
    ],
)
def test_arguments_that_cannot_work_are_refused(
    arguments: dict[str, Any], message: str
) -> None:
    """When the hook is made, before anything is trained."""
    with pytest.raises(ConfigError, match=f"^CheckpointHook: .*{message}"):
        CheckpointHook(**arguments)


# -- in the background -----------------------------------------------------------------


class Held:
    """Holds back what a store writes until it is let go.

    Args:
        monkeypatch: Undoes it.
        error: Raised instead of writing, if there is one.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None
    ) -> None:
        self.go = threading.Event()
        self.begun: list[str] = []
        healthy = Store.write

        def write(store: Store, name: str, checkpoint: Any) -> Any:
            self.begun.append(name)
            assert self.go.wait(10)
            if error is not None:
                raise error
            return healthy(store, name, checkpoint)

        monkeypatch.setattr(Store, "write", write)


def weighted(folder: Path, hook: CheckpointHook, each: Any) -> TrainEngine:
    """A trainer whose one weight is the number of iterations; ``each`` is called."""
    weight = torch.nn.Parameter(torch.zeros(()))

    def step(trainer: TrainEngine, batch: float) -> dict[str, Any]:
        with torch.no_grad():
            weight.add_(1)
        each(trainer)
        return {}

    trainer = TrainEngine(step, RunState(seed=0), work_dir=folder)
    module = torch.nn.Module()
    module.weight = weight
    trainer.track(model=module)
    trainer.add_hook(hook)
    return trainer


def test_training_goes_on_while_it_writes_and_does_not_change_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the file is of when the save was due."""
    held = Held(monkeypatch)
    seen: list[int] = []

    def each(trainer: TrainEngine) -> None:
        done = trainer.run_state.iteration
        seen.append(len(files(tmp_path)))
        if done == 3:
            held.go.set()

    hook = CheckpointHook(by_epoch=False, interval=1, save_begin=0, save_last=False)
    hook.interval = 2
    trainer = weighted(tmp_path, hook, each)
    trainer.run([0.0] * 5, max_iters=5)
    assert seen[:4] == [0, 0, 0, 0], "four ran before the file was there"
    for number in (2, 4):
        saved = torch.load(tmp_path / f"iter_{number}.pth", weights_only=True)
        assert saved["state_dict"]["weight"].item() == number


def test_an_error_is_raised_at_the_next_safe_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training does not go on for long without checkpoints."""
    held = Held(monkeypatch, CheckpointError("the disk is full"))
    done = 0

    def each(trainer: TrainEngine) -> None:
        nonlocal done
        done = trainer.run_state.iteration
        if done == 4:
            held.go.set()
            while trainer.writer.busy:  # until it has failed
                threading.Event().wait(0.001)

    hook = CheckpointHook(by_epoch=False, interval=2)
    trainer = weighted(tmp_path, hook, each)
    hook.interval = 100
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED(once=2),
        lambda: trainer.context.owe(DueKind.SAVE, hook, "iter_2.pth"),
    )
    with pytest.raises(CheckpointError, match="the disk is full"):
        trainer.run([0.0] * 10, max_iters=10)
    assert done == 4


@pytest.mark.parametrize("end", ["completed", "exception", "interrupt"])
def test_every_end_waits_for_the_save_in_flight(tmp_path: Path, end: str) -> None:
    """Whether the run is done, broken or halted: the file is there, no thread is."""

    def each(trainer: TrainEngine) -> None:
        if trainer.run_state.iteration == 3:
            if end == "exception":
                raise ValueError("broken")
            if end == "interrupt":
                trainer.interrupt()

    hook = CheckpointHook(by_epoch=False, interval=3)
    trainer = weighted(tmp_path, hook, each)
    with contextlib.suppress(ValueError):
        trainer.run([0.0] * 4, max_iters=4)
    assert "iter_3.pth" in files(tmp_path)
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("checkpoint")]


def test_an_error_of_the_run_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the save in flight is a note on it."""
    held = Held(monkeypatch, CheckpointError("the disk is full"))

    def each(trainer: TrainEngine) -> None:
        if trainer.run_state.iteration == 2:
            held.go.set()
            raise ValueError("broken")

    trainer = weighted(tmp_path, CheckpointHook(by_epoch=False, interval=2), each)
    with pytest.raises(ValueError, match="broken") as info:
        trainer.run([0.0] * 9, max_iters=9)
    assert any("the disk is full" in note for note in info.value.__notes__)


def test_before_save_checkpoint_runs_before_the_copy_is_taken(tmp_path: Path) -> None:
    """What a hook adds is in the file, as it was then."""

    class Adds(Hook):
        def before_save_checkpoint(
            self, runner: Any, checkpoint: dict[str, Any]
        ) -> None:
            checkpoint["mine"] = runner.model.weight.detach()

    trainer = weighted(
        tmp_path, CheckpointHook(by_epoch=False, interval=2), lambda _: None
    )
    trainer.add_hook(Adds())
    trainer.run([0.0] * 4, max_iters=4)
    saved = torch.load(tmp_path / "iter_2.pth", weights_only=True)
    assert saved["mine"].item() == 2


@pytest.mark.parametrize("background", [True, False])
def test_both_ways_write_the_same(tmp_path: Path, *, background: bool) -> None:
    """Names, what stays, and the pointer."""
    hook = CheckpointHook(interval=1, max_keep_ckpts=2, background=background)
    assert saved(tmp_path, hook, max_epochs=4) == {"epoch_3.pth", "epoch_4.pth"}
    assert find_latest_checkpoint(tmp_path) == str(tmp_path / "epoch_4.pth")


# -- by time ---------------------------------------------------------------------------


def test_it_saves_each_so_many_seconds(tmp_path: Path) -> None:
    """By a clock that is given; any save begins the time anew."""
    now = 0.0

    def each(trainer: TrainEngine) -> None:
        nonlocal now
        now += 10

    hook = CheckpointHook(interval_seconds=25, clock=lambda: now, save_last=False)
    weighted(tmp_path, hook, each).run([0.0] * 10, max_epochs=1)
    assert files(tmp_path) == {"iter_3.pth", "iter_6.pth", "iter_9.pth"}


# -- whose files -----------------------------------------------------------------------


def test_a_run_that_is_resumed_elsewhere_deletes_nothing_of_another(
    tmp_path: Path,
) -> None:
    """Files of the same name in the new folder belong to another run."""
    keep: dict[str, Any] = {"interval": 1, "max_keep_ckpts": 2}
    saved(tmp_path / "a", CheckpointHook(**keep), max_epochs=2)
    saved(tmp_path / "b", CheckpointHook(interval=1), max_epochs=2)
    before = (tmp_path / "b" / "epoch_1.pth").read_bytes()
    trainer = echo_trainer(tmp_path / "b")
    trainer.add_hook(CheckpointHook(**keep))
    trainer.resume(tmp_path / "a")
    trainer.run([1.0, 2.0, 3.0], max_epochs=4)
    assert files(tmp_path / "a") == {"epoch_1.pth", "epoch_2.pth"}
    assert (tmp_path / "b" / "epoch_1.pth").read_bytes() == before
    assert files(tmp_path / "b") == {f"epoch_{number}.pth" for number in (1, 2, 3, 4)}


def test_a_run_that_was_moved_goes_on_keeping_its_files(tmp_path: Path) -> None:
    """Nothing in it says where it was."""
    keep: dict[str, Any] = {"interval": 1, "max_keep_ckpts": 2}
    saved(tmp_path / "here", CheckpointHook(**keep), max_epochs=3)
    (tmp_path / "here").rename(tmp_path / "there")
    trainer = echo_trainer(tmp_path / "there")
    trainer.add_hook(CheckpointHook(**keep))
    trainer.resume(tmp_path / "there")
    trainer.run([1.0, 2.0, 3.0], max_epochs=4)
    assert files(tmp_path / "there") == {"epoch_3.pth", "epoch_4.pth"}


def test_what_a_killed_run_had_still_to_delete_goes_later(tmp_path: Path) -> None:
    """Killed between the new file and the end of the old one."""
    keep: dict[str, Any] = {"interval": 1, "max_keep_ckpts": 1}
    hook = CheckpointHook(**keep)
    trainer = echo_trainer(tmp_path)
    trainer.add_hook(hook)
    trainer.run([1.0], max_epochs=2)
    store, whole = Store(tmp_path), read(tmp_path / "epoch_2.pth")
    store.write("epoch_1.pth", whole)  # as if it had not been deleted yet
    trainer = echo_trainer(tmp_path)
    trainer.add_hook(CheckpointHook(**keep))
    trainer.resume(tmp_path / "epoch_2.pth")
    trainer.run([1.0], max_epochs=3)
    assert files(tmp_path) == {"epoch_3.pth"}


def test_another_runs_file_that_is_replaced_is_told_of_once(tmp_path: Path) -> None:
    """Two runs save in one folder: one clear message."""
    saved(tmp_path, CheckpointHook(interval=1), max_epochs=3)
    trainer = echo_trainer(tmp_path)
    told: list[str] = []
    trainer.context.facilities["logger"] = Told(told)
    trainer.add_hook(CheckpointHook(interval=1))
    trainer.run([1.0, 2.0, 3.0], max_epochs=3)
    assert told.count("checkpoint_folder_is_shared") == 1


class Told:
    """A logger that keeps the names of what it is told."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def info(self, event: str, **_: Any) -> None:
        """Keep it."""
        self.told.append(event)

    warning = info


# -- URLs and publishing ---------------------------------------------------------------


def test_out_dir_may_be_a_url_and_the_work_dir_points_there(tmp_path: Path) -> None:
    """A resume from the work dir finds the checkpoint in the object store."""
    url = f"memory://{uuid4().hex}"
    hook = CheckpointHook(interval=1, max_keep_ckpts=1, out_dir=url)
    assert saved(tmp_path / "run", hook, max_epochs=2) == set()
    newest = find_latest_checkpoint(tmp_path / "run")
    assert newest == f"{url}/run/epoch_2.pth"
    trainer = echo_trainer(tmp_path / "run")
    trainer.resume(tmp_path / "run")
    assert trainer.run_state.epoch == 2


def test_published_copies_are_trimmed_and_named_by_their_hash(tmp_path: Path) -> None:
    """Of the last and of the best; a resume takes no notice of them."""
    hook = CheckpointHook(
        interval=1, save_best="acc", published_keys=["meta", "state_dict"]
    )
    scored(tmp_path, hook, accuracies(0.9, 0.1))
    published = set(tmp_path.glob("*-*.pth"))
    assert {path.name.rsplit("-", 1)[0] for path in published} == {
        "epoch_2",
        "best_acc_epoch_1",
    }
    for path in published:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.stem.rsplit("-", 1)[1] == digest[:8]
        assert set(read(path)) == {"meta", "state_dict"}
    (tmp_path / "last_checkpoint").unlink()
    found = Store(tmp_path).newest_good()
    assert found is not None
    assert found[2] == []


def test_the_hub_names_the_newest_and_the_best(tmp_path: Path) -> None:
    """As MMEngine's users find them; paths are not saved with the run."""
    trainer = scored(
        tmp_path, CheckpointHook(interval=1, save_best="acc"), accuracies(0.5, 0.4)
    )
    hub = trainer.run_state.hub
    assert hub.get_info("last_ckpt") == str(tmp_path / "epoch_2.pth")
    assert hub.get_info("best_ckpt") == str(tmp_path / "best_acc_epoch_1.pth")
    assert hub.get_info("best_score") == 0.5
    info = read(tmp_path / "epoch_2.pth")["message_hub"]["info"]
    assert not {"last_ckpt", "best_ckpt"} & set(info)
