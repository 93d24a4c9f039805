"""When checkpoints are saved, which stay, and which was the best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from engine.checkpoint import find_latest_checkpoint
from engine.errors import ConfigError, MetricError, SerializationError
from engine.events import Events
from engine.hooks import CheckpointHook, Hook
from engine.loops import EvalEngine, TrainEngine
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
