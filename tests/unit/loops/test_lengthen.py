"""Tests of what a resumed run of another length does with its schedules."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.optim import lr_scheduler

from engine import Events, RunState, TrainEngine
from engine.errors import ScheduleError
from engine.hooks import ParamSchedulerHook
from engine.optim import (
    CosineAnnealingLR,
    LinearLR,
    OneCycleLR,
    ReduceOnPlateauLR,
    TorchSchedule,
)
from tests.runs import RunPlan, make_runner
from tests.toys import quiet_logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def trainer_of(
    make: Callable[[Any], list[Any]], console: io.StringIO, *, hook: bool = True
) -> tuple[TrainEngine, Any]:
    """A trainer of a parameter with the schedules that ``make`` makes."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    trainer = TrainEngine(
        lambda _, batch: optimizer.step(),
        RunState(seed=0),
        facilities={"logger": quiet_logger(console)},
    )
    trainer.track(optimizer=optimizer, param_schedulers=make(optimizer))
    if hook:
        trainer.add_hook(ParamSchedulerHook())
    return trainer, optimizer


def lengthen(
    make: Callable[[int], Callable[[Any], list[Any]]],
    folder: Path,
    on_longer: Any,
    *,
    score: float | None = None,
    hook: bool = True,
) -> tuple[Any, str]:
    """Save a run of 4 epochs after 2, go on to 8; the optimizer and what was logged."""

    def judge(trainer: TrainEngine) -> None:
        schedules: Any = trainer.parts.param_schedulers
        for one in schedules:
            if score is not None and getattr(one, "need_val_args", False):
                one.step({"score": score})

    trainer, _ = trainer_of(make(4), io.StringIO(), hook=hook)
    trainer.on(Events.EPOCH_COMPLETED)(judge)
    trainer.on(Events.EPOCH_COMPLETED(once=2))(lambda trainer: trainer.interrupt())
    trainer.run(max_epochs=4, epoch_length=2)
    file = trainer.save_checkpoint(folder / "cut.pth")
    console = io.StringIO()
    rest, optimizer = trainer_of(make(8), console, hook=hook)
    rest.on(Events.EPOCH_COMPLETED)(judge)
    rest.resume(file, on_longer=on_longer)
    rest.run(max_epochs=8, epoch_length=2)
    return optimizer, console.getvalue()


def test_the_resulting_curve_is_logged(tmp_path: Path) -> None:
    """A small table: both lengths, the choice, the rate at places with the old end."""
    _, logged = lengthen(
        lambda n: lambda o: [CosineAnnealingLR(o, T_max=n, end=n)], tmp_path, "stretch"
    )
    assert "max_epochs=4 and goes on to max_epochs=8" in logged
    assert "on_longer='stretch'" in logged
    table = logged[logged.index("on_longer='stretch'") :].splitlines()[1:]
    assert table[0].split() == ["lr"]
    rows = {row.split("  ")[0]: row.split()[-1] for row in table[1:]}
    assert rows["epoch 2"] == "0.0853553"
    assert rows["epoch 4"] == "0.05"
    assert rows["epoch 7"] == "0.00380602"


def test_a_wrong_choice_is_one_error(tmp_path: Path) -> None:
    """With the near one, before anything is loaded."""
    with pytest.raises(ScheduleError, match=r"'stretched': allowed are .*'stretch'"):
        lengthen(lambda _: lambda o: [CosineAnnealingLR(o)], tmp_path, "stretched")


def test_stretch_keeps_what_a_plateau_reduced(tmp_path: Path) -> None:
    """Only its window moves: what it remembers and the value it led to stay.

    Bad epochs are 2 to 8, and each second one in its window reduces.
    """

    def make(length: int) -> Callable[[Any], list[Any]]:
        return lambda o: [
            LinearLR(o, start_factor=0.5, end=3, by_epoch=False),
            ReduceOnPlateauLR(o, monitor="score", patience=1, factor=0.5, end=length),
        ]

    with pytest.raises(ScheduleError, match=r"From the old end on(.|\n)*a plateau"):
        lengthen(make, tmp_path, None, score=1.0)
    for policy, times in (("keep", 1), ("hold", 1), ("stretch", 3)):
        optimizer, _ = lengthen(make, tmp_path, policy, score=1.0)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**times)


def test_stretch_refuses_a_plateau_on_another_curve(tmp_path: Path) -> None:
    """How often it would have reduced the new curve nobody knows."""

    def make(length: int) -> Callable[[Any], list[Any]]:
        return lambda o: [
            CosineAnnealingLR(o, T_max=length, end=length),
            TorchSchedule(
                lr_scheduler.ReduceLROnPlateau(o, patience=0), monitor="score"
            ),
        ]

    with pytest.raises(ScheduleError, match="stretch: CosineAnnealingLR has another"):
        lengthen(make, tmp_path, "stretch", score=1.0)
    lengthen(make, tmp_path, "stretch")  # it judged nothing yet


def test_a_cycle_cannot_be_kept_past_its_end(tmp_path: Path) -> None:
    """Said before training, by ours and torch's; it can be held."""

    def ours(length: int) -> Callable[[Any], list[Any]]:
        return lambda o: [OneCycleLR(o, eta_max=0.5, total_steps=length)]

    def torchs(length: int) -> Callable[[Any], list[Any]]:
        return lambda o: [
            TorchSchedule(lr_scheduler.OneCycleLR(o, 0.5, length, cycle_momentum=False))
        ]

    for make in (ours, torchs):
        with pytest.raises(ScheduleError, match="on_longer='keep' is not possible"):
            lengthen(make, tmp_path, "keep")
        with pytest.raises(ScheduleError, match=r"keep .*There: "):
            lengthen(make, tmp_path, None)
        lengthen(make, tmp_path, "hold")


def test_bare_schedules_of_torch_cannot_be_held(tmp_path: Path) -> None:
    """Nothing of ours stands between the hook and them; they can be stretched."""

    def make(length: int) -> Callable[[Any], list[Any]]:
        return lambda o: [lr_scheduler.CosineAnnealingLR(o, T_max=length)]

    with pytest.raises(ScheduleError, match=r"hold: .* Give it as TorchSchedule"):
        lengthen(make, tmp_path, "hold")
    optimizer, _ = lengthen(make, tmp_path, "stretch")
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0)


def test_schedules_that_no_hook_steps_are_left_alone(tmp_path: Path) -> None:
    """A warning says so; only ``keep`` can be asked for."""

    def make(length: int) -> Callable[[Any], list[Any]]:
        return lambda o: [CosineAnnealingLR(o, T_max=length)]

    for policy in (None, "keep"):
        _, logged = lengthen(make, tmp_path, policy, hook=False)
        assert "no ParamSchedulerHook steps them" in logged
    with pytest.raises(ScheduleError, match="no ParamSchedulerHook"):
        lengthen(make, tmp_path, "hold", hook=False)


class Uncopied:
    """A schedule of one's own that does not tell what it acts on."""

    def step(self) -> None:
        """Do nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing."""


def test_a_schedule_that_cannot_be_copied_is_told_of(tmp_path: Path) -> None:
    """It stays as saved, with a warning; other choices are errors."""
    _, logged = lengthen(lambda _: lambda _: [Uncopied()], tmp_path, None)
    assert "Uncopied has no optimizer" in logged
    with pytest.raises(ScheduleError, match="Uncopied has no optimizer"):
        lengthen(lambda _: lambda _: [Uncopied()], tmp_path, "hold")


def test_the_same_objects_can_be_stretched_again(tmp_path: Path) -> None:
    """Ours are put back to their first step, torch's cannot be."""
    used: list[Any] = []

    def ours(_: int) -> Callable[[Any], list[Any]]:
        def make(optimizer: Any) -> list[Any]:
            schedule = CosineAnnealingLR(optimizer, T_max=8)
            schedule.step()
            used.append(schedule)
            return [schedule]

        return make

    optimizer, _ = lengthen(ours, tmp_path, "stretch")
    assert len(used) == 2
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0038060, rel=1e-4)

    def torchs(_: int) -> Callable[[Any], list[Any]]:
        def make(optimizer: Any) -> list[Any]:
            optimizer.step()
            schedule = lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
            optimizer.step()
            schedule.step()
            return [schedule]

        return make

    with pytest.raises(ScheduleError, match="make the schedules anew"):
        lengthen(torchs, tmp_path, "stretch")


def test_a_runner_takes_the_choice_from_train_cfg_or_resume(tmp_path: Path) -> None:
    """The argument comes before the config; without either it is an error."""
    cosine = {"type": "CosineAnnealingLR", "by_epoch": False}
    short = RunPlan(max_epochs=None, max_iters=4, val_interval=None)
    make_runner(short, tmp_path / "short", param_scheduler=cosine).train()
    file = tmp_path / "short" / "iter_2.pth"

    def longer(**train_cfg: Any) -> Any:
        return make_runner(
            short,
            tmp_path / "long",
            param_scheduler=cosine,
            train_cfg={"by_epoch": False, "max_iters": 8, **train_cfg},
        )

    def rate(runner: Any) -> float:
        return float(runner.optim_wrapper.get_lr()["lr"][0])

    runner = longer(on_longer="stretch")
    runner.resume(file)
    runner.train()
    stretched = rate(runner)
    runner = longer(on_longer="stretch")
    runner.resume(file, on_longer="keep")
    runner.train()
    assert rate(runner) != stretched
    runner = longer()
    runner.resume(file)
    with pytest.raises(ScheduleError, match=r"max_iters=4 .* max_iters=8"):
        runner.train()
    with pytest.raises(ScheduleError, match="train_cfg: on_longer='longer'"):
        longer(on_longer="longer").train()


def test_schedules_of_several_optimizers_are_stretched_each(tmp_path: Path) -> None:
    """By their optimizer's name."""
    values = []
    for on_longer in ("keep", "stretch"):
        ends = []
        for length in (4, 8):
            optimizers = {
                name: torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
                for name in ("one", "two")
            }
            trainer = TrainEngine(
                lambda *_: None,
                RunState(seed=0),
                facilities={"logger": quiet_logger()},
            )
            trainer.track(
                param_schedulers={
                    name: [CosineAnnealingLR(one, T_max=length, end=length)]
                    for name, one in optimizers.items()
                }
            )
            trainer.add_hook(ParamSchedulerHook())
            if length == 4:
                trainer.run(max_epochs=4, epoch_length=1)
                file = trainer.save_checkpoint(tmp_path / "x.pth")
            else:
                trainer.resume(file, on_longer=on_longer)
                trainer.run(max_epochs=8, epoch_length=1)
                ends = [one.param_groups[0]["lr"] for one in optimizers.values()]
        values.append(ends)
    assert values[0][0] == values[0][1]
    assert values[1] == pytest.approx([0.0038060] * 2, rel=1e-4)
