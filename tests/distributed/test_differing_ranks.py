"""Ranks that have other numbers than rank 0: nothing hangs, and each gets its own."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from engine import Events, TrainEngine
from engine.dist import get_dist_info, on_main
from engine.errors import DataError
from engine.hooks import CheckpointHook, Hook, NanGuardHook, ParamSchedulerHook
from engine.loops import EvalEngine
from engine.optim import ReduceOnPlateauParamScheduler
from tests.distributed.nets import make_runner, whole_state
from tests.ranks import run_ranks

pytestmark = pytest.mark.distributed

WORLD = 2
SCORES = ([1, 2, 3, 4], [4, 3, 2, 1])


class Holds:
    """Many numbers in an order of its rank's own; a slice, as of a larger memory."""

    def __init__(self, seed: int) -> None:
        chance = torch.Generator().manual_seed(seed)
        self.order = torch.randperm(20000, generator=chance, dtype=torch.int32)[1:]

    def state_dict(self) -> dict[str, Any]:
        """The order."""
        return {"order": self.order}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it over."""
        self.order = state_dict["order"]


def make_trainer(folder: Path, seed: int) -> tuple[TrainEngine, Any, Holds]:
    """Trains a part in DDP, and one outside of it, which each rank has for itself."""
    torch.manual_seed(0)
    rank, _ = get_dist_info()
    parts = {"shared": nn.parallel.DistributedDataParallel(nn.Linear(2, 1))}
    model = nn.ModuleDict({**parts, "own": nn.Linear(2, 1)})
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)

    def step(_: Any, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        optimizer.zero_grad()
        found = model["shared"](batch) + model["own"](batch * (rank + 1))
        loss = found.square().mean()
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach()}

    trainer, holds = TrainEngine(step, work_dir=folder), Holds(seed)
    schedule = ReduceOnPlateauParamScheduler(
        optimizer, "lr", monitor="score", patience=0, rule="greater"
    )
    trainer.track(
        model=model, optimizer=optimizer, param_schedulers=[schedule], order=holds
    )
    return trainer, model, holds


def own_state() -> list[bool]:
    """Whether a resumed rank has its own parameters and memory again."""
    rank, _ = get_dist_info()
    folder = Path(on_main(tempfile.mkdtemp))
    data = [torch.ones(1, 2) * place for place in range(6)]
    whole, model, holds = make_trainer(folder, rank)
    whole.run(data)
    cut, _, _ = make_trainer(folder, rank)
    cut.add_event_handler(Events.ITERATION_COMPLETED(once=3), cut.interrupt)
    cut.run(data)
    cut.save_checkpoint(folder / "cut.pth")
    again, resumed, memory = make_trainer(folder, 9)
    again.resume(folder / "cut.pth")
    again.run(data)
    same = [
        torch.equal(one, other)
        for one, other in zip(model.parameters(), resumed.parameters(), strict=True)
    ]
    return [*same, torch.equal(memory.order, holds.order)]


def own_metrics() -> list[Any]:
    """The rate, the best score and its file where each rank has its own metric."""
    rank, _ = get_dist_info()
    folder = Path(on_main(tempfile.mkdtemp))
    trainer, _, _ = make_trainer(folder, rank)
    hook = CheckpointHook(interval=2, save_best="score", rule="greater")
    trainer.add_hook(hook)
    trainer.add_hook(ParamSchedulerHook())
    validator = EvalEngine(lambda *_: None)

    def put() -> None:
        score = SCORES[rank][trainer.run_state.epoch - 1]
        validator.state.metrics["score"] = score

    validator.add_event_handler(Events.EPOCH_COMPLETED, put, priority=0)
    trainer.validate_with(validator, range(2))
    trainer.run([torch.ones(1, 2)] * 2, max_epochs=4)
    rate = trainer.parts.optimizer.param_groups[0]["lr"]
    return [rate, dict(hook.best_scores), sorted(map(str, folder.glob("best*.pth")))]


def uneven() -> str:
    """What is said of training data of other lengths."""
    rank, _ = get_dist_info()
    with pytest.raises(DataError) as caught:
        TrainEngine(lambda *_: None).run(range(2 + rank), max_epochs=2)
    return str(caught.value)


def ranks_of_two() -> list[Any]:
    """On a rank: all of it."""
    return [own_state(), own_metrics(), uneven()]


def test_what_ranks_have_for_themselves() -> None:
    """It is resumed; and where all must decide alike, rank 0's number counts."""
    found = run_ranks(ranks_of_two, WORLD)
    for own, (rate, best, files), refused in found:
        assert all(own)
        assert (rate, best) == (0.1, {"score": 4})
        assert [Path(one).name for one in files] == ["best_score_epoch_4.pth"]
        assert "[2, 3] batches" in refused


class Poison(Hook):
    """Ruins one number of a gradient, in a piece that rank 1 alone has."""

    priority = 0

    def before_optimizer_step(self, runner: Any) -> None:
        """Put it there."""
        if runner.iter == 2 and get_dist_info()[0] == 1:
            grads = (one.grad.to_local() for one in runner.model.parameters())
            next(one for one in grads if one.numel()).detach().view(-1)[0] = torch.nan


def poisoned() -> list[Any]:
    """On a rank: what NanGuardHook does of a model that lies over ranks."""
    found: list[Any] = []
    for policy in ("skip", "stop", "rollback"):
        runner = make_runner(
            Path(on_main(tempfile.mkdtemp)),
            strategy="fsdp2",
            train_cfg={"by_epoch": False, "max_iters": 4},
            custom_hooks=[
                {
                    "type": NanGuardHook,
                    "policy": policy,
                    "interval": 1,
                    "max_rollbacks": 1,
                },
                {"type": Poison},
            ],
        )
        try:
            runner.train()
        except Exception as error:  # noqa: BLE001  # it is compared
            found.append([type(error).__name__, runner.state.rollbacks])
        else:
            state = whole_state(runner.model)
            finite = all(bool(one.isfinite().all()) for one in state.values())
            found.append([finite, runner.state.iteration])
    return found


def test_a_gradient_that_is_bad_in_one_ranks_piece() -> None:
    """All ranks leave the step out, stop or go back; some have empty pieces."""
    expected = [[True, 4], ["NonFiniteError", 0], ["NonFiniteError", 1]]
    assert run_ranks(poisoned, WORLD) == [expected] * WORLD


def fails_with_a_copy(folder: Path) -> None:
    """On a rank: rank 0's step fails, and a copy is in its memory."""
    rank, _ = get_dist_info()

    def step(trainer: Any, _: Any) -> None:
        if rank == 0 and trainer.run_state.iteration == 5:
            message = "broke"
            raise ValueError(message)

    trainer, model = TrainEngine(step, work_dir=folder), nn.Linear(1, 1)
    trainer.track(model=model, optimizer=torch.optim.SGD(model.parameters(), 0.1))
    trainer.add_hook(CheckpointHook(interval=3, by_epoch=False, freeze_interval=1))
    try:
        trainer.run(range(20), max_iters=20)
    except Exception as error:  # noqa: BLE001  # its notes are looked at
        notes = "\n".join(getattr(error, "__notes__", []))
        (folder / f"told_{rank}").write_text(f"{error}\n{notes}")
    os._exit(0)  # as a rank that failed ends: the group is broken


def test_the_frozen_copy_is_written_without_the_other_ranks(tmp_path: Path) -> None:
    """Rank 0 asks nobody any more: it is told, pointed to, and nobody aborts."""
    run_ranks(fails_with_a_copy, WORLD, tmp_path)
    assert "stopped_iter_5.pth is the copy" in (tmp_path / "told_0").read_text()
    assert (tmp_path / "last_checkpoint").read_text() == "stopped_iter_5.pth"
    assert (tmp_path / "told_1").is_file()
