"""Data with a memory of its own, in whole runs that are saved and resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from engine import Phase, Runner, RunState, StepModel, TrainEngine
from engine.checkpoint import read
from engine.errors import ConfigError
from tests.property.test_data_resume import (
    Counting,
    Endless,
    Flow,
    Kept,
    Points,
    Unending,
    Walking,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def loader_over(data: Any, **settings: Any) -> DataLoader[Any]:
    """Batches of two that are lists of lists."""
    return DataLoader(data, 2, collate_fn=list, **settings)


LOADERS: dict[str, Callable[[], DataLoader[Any]]] = {
    "stateful sampler": lambda: loader_over(Points(7), sampler=Walking(7)),
    "stateful sampler without end": lambda: loader_over(Points(7), sampler=Unending(7)),
    "stateful dataset": lambda: loader_over(Counting(7), shuffle=True),
    "unsized": lambda: loader_over(Kept(7)),
    "unsized, replayed": lambda: loader_over(Flow(7)),
    "stateful sampler, workers": lambda: loader_over(
        Points(7), sampler=Walking(7), num_workers=2
    ),
    "stateful dataset, workers": lambda: loader_over(Counting(7), num_workers=2),
}


def compose(seen: list[Any]) -> TrainEngine:
    """A trainer that notes its batches."""

    def step(trainer: Any, batch: Any) -> None:
        seen.append([trainer.run_state.iteration, batch])

    return TrainEngine(step, RunState(seed=5))


@pytest.mark.parametrize("name", LOADERS)
def test_saved_at_any_iteration_it_goes_on(name: str, tmp_path: Path) -> None:
    """Three passes, saved and resumed after each iteration of the first two."""
    whole: list[Any] = []
    trainer = compose(whole)

    @trainer.on("ITERATION_COMPLETED")
    def save(trainer: Any) -> None:
        trainer.save_checkpoint(tmp_path / f"{trainer.run_state.iteration}.pth")

    trainer.run(LOADERS[name](), max_epochs=3)
    cuts = range(1, 9, 3 if "workers" in name else 1)
    for cut in cuts:
        rest: list[Any] = []
        resumed = compose(rest)
        resumed.resume(tmp_path / f"{cut}.pth")
        torch.manual_seed(cut)
        resumed.run(LOADERS[name](), max_epochs=3)
        assert rest == whole[cut:], cut
        assert resumed.run_state.phase is Phase.FINISHED


def test_data_without_end_goes_on(tmp_path: Path) -> None:
    """An iteration-bounded run over a stream that never ends, in two workers."""

    def data() -> DataLoader[Any]:
        return loader_over(Endless(), num_workers=2)

    whole: list[Any] = []
    trainer = compose(whole)
    trainer.on("ITERATION_COMPLETED")(
        lambda trainer: (
            trainer.run_state.iteration == 5
            and trainer.save_checkpoint(tmp_path / "5.pth")
        )
    )
    trainer.run(data(), max_iters=9)
    rest: list[Any] = []
    resumed = compose(rest)
    resumed.resume(tmp_path / "5.pth")
    resumed.run(data(), max_iters=9)
    assert rest == whole[5:]


def test_a_second_run_goes_on_with_what_workers_drew_ahead() -> None:
    """In one process, over the same loader, ended inside a pass."""
    expected: list[Any] = []
    compose(expected).run(LOADERS["stateful sampler, workers"](), max_epochs=3)
    seen: list[Any] = []
    trainer = compose(seen)
    trainer.on("ITERATION_COMPLETED")(
        lambda trainer: trainer.run_state.iteration == 2 and trainer.terminate()
    )
    data = LOADERS["stateful sampler, workers"]()
    trainer.run(data, max_epochs=1)
    assert seen == expected[:2]
    trainer.run(data, max_epochs=2)
    assert len(seen) > 4
    assert seen == expected[: len(seen)]


class Warned:
    """A logger that keeps warnings."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, event: str, *, line: str, **_: Any) -> None:
        """Keep it."""
        assert event == "resume_remark"
        self.lines.append(line)

    def info(self, *_: Any, **__: Any) -> None:
        """Others are of no interest."""

    debug = info


@pytest.mark.parametrize(
    ("data", "remarks"),
    [
        (
            lambda: loader_over(Flow(7)),
            ["Resume: best effort: train data: order: Flow is iterated"],
        ),
        (lambda: loader_over(Points(7), shuffle=True), []),
        (lambda: loader_over(Kept(7)), []),
    ],
)
def test_a_replay_is_said_when_a_run_is_resumed(
    data: Callable[[], Any], remarks: list[str], tmp_path: Path
) -> None:
    """Once, and not in a run that begins."""
    warned = Warned()

    def logged() -> TrainEngine:
        return TrainEngine(
            lambda *_: None, RunState(seed=1), facilities={"logger": warned}
        )

    trainer = logged()
    trainer.run(data(), max_epochs=1)
    trainer.save_checkpoint(tmp_path / "one.pth")
    assert warned.lines == []
    resumed = logged()
    resumed.resume(tmp_path / "one.pth")
    resumed.run(data(), max_epochs=2)
    assert len(warned.lines) == len(remarks)
    for line, begin in zip(warned.lines, remarks, strict=True):
        assert line.startswith(begin)


def test_a_checkpoint_of_plain_data_holds_no_state_of_it(tmp_path: Path) -> None:
    """(seed, pass, batch) tells everything."""
    trainer = compose([])
    trainer.run(loader_over(Points(5), shuffle=True), max_epochs=1)
    trainer.save_checkpoint(tmp_path / "one.pth")
    assert read(tmp_path / "one.pth")["engine"]["data"] is None


# -- the Runner's setting -------------------------------------------------------------


class Noise(Dataset[Any]):
    """Samples that are random numbers."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        return torch.rand(()), torch.rand(())


def make_runner(work_dir: Path, samples: Any) -> tuple[Runner, list[Any]]:
    """A Runner over noise, and the batches that its model sees."""
    seen: list[Any] = []

    def loss(outputs: Any, targets: Any) -> Any:
        seen.append(targets.tolist())
        return (outputs - targets).square().mean()

    model = StepModel(torch.nn.Linear(1, 1), loss, preprocess=_columns)
    runner = Runner(
        model,
        work_dir,
        train_dataloader={
            "dataset": Noise(),
            "batch_size": 2,
            "collate_fn": "default_collate",
        },
        train_cfg={"max_epochs": 1},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        randomness={"seed": 3, "samples": samples},
        default_hooks={"logger": None, "checkpoint": None},
        visualizer={"vis_backends": []},
        log_level="ERROR",
    )
    return runner, seen


def _columns(batch: Any) -> Any:
    return batch[0][:, None], batch[1][:, None]


def test_the_runner_takes_what_random_numbers_depend_on(tmp_path: Path) -> None:
    """The first sample of a batch is alike per sample and per batch, others are not."""
    found = {}
    for samples in ("sample", "batch", "off"):
        runner, seen = make_runner(tmp_path / samples, samples)
        runner.train()
        found[samples] = [[one[0] for one in batch] for batch in seen]
    per_sample, per_batch, off = found["sample"], found["batch"], found["off"]
    for one, other in zip(per_sample, per_batch, strict=True):
        assert one[0] == other[0]
        assert one[1] != other[1]
    assert off[0][0] not in (per_sample[0][0], per_batch[0][0])


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    """The message names the three."""
    message = (
        "randomness.samples: found 'each', expected one of 'sample', 'batch', 'off'"
    )
    with pytest.raises(ConfigError, match=message):
        make_runner(tmp_path, "each")


def test_iterable_datasets_are_what_they_seem() -> None:
    """The toys here are of the kinds that the names say."""
    assert issubclass(Kept, IterableDataset)
    assert not hasattr(Flow(1), "state_dict")
