"""LedgerHook: a record for each iteration, cut back by a resume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch
from attrs import evolve

from engine.errors import CheckpointError, ConfigError
from engine.hooks import Hook, LedgerHook
from engine.state import find_parting, read_ledger
from tests.runs import RunPlan, make_runner, train
from tests.toys import echo_trainer

if TYPE_CHECKING:
    from pathlib import Path

    from engine.state import RunContext

PLAN = RunPlan(max_epochs=3, val_interval=None)


def records(folder: Path) -> Any:
    """What the ledger in a folder holds."""
    return read_ledger((folder / "ledger.bin").read_bytes())


def write(plan: RunPlan, work_dir: Path, **changes: Any) -> Any:
    """Train with a ledger in the work dir; its records."""
    runner = make_runner(plan, work_dir, **changes)
    runner.register_hook(LedgerHook(out_dir=work_dir))
    runner.train()
    return records(work_dir)


def test_each_iteration_has_a_record(tmp_path: Path) -> None:
    """With the loss to the bit, and the learning rate."""
    runner = make_runner(PLAN, tmp_path)
    runner.register_hook(LedgerHook())
    runner.train()
    found = records(runner.log_dir)
    assert found["iteration"].tolist() == list(range(1, 10))
    losses, _ = runner.message_hub.get_scalar("train/loss").data
    assert found["loss"].tolist() == losses.tolist()
    assert found["lr"][-1] == runner.optim_wrapper.get_lr()["lr"][0]


@pytest.mark.parametrize("cut", [1, 4, 8])
def test_a_resumed_run_goes_on_with_the_ledger(cut: int, tmp_path: Path) -> None:
    """What was written beyond the checkpoint is cut off; the rest is the same."""
    whole = write(PLAN, tmp_path / "whole")
    saved = tmp_path / "whole" / f"iter_{cut}.pth"
    again = write(PLAN, tmp_path / "whole", load_from=saved, resume=True)
    assert again.tobytes() == whole.tobytes()


def test_a_checkpoint_never_runs_ahead_of_the_ledger(tmp_path: Path) -> None:
    """When a file is written, its iterations are in the ledger already."""
    seen = []

    class Look(Hook):
        def before_save_checkpoint(
            self, runner: RunContext, checkpoint: dict[str, Any]
        ) -> None:
            last = records(tmp_path)["iteration"][-1]
            seen.append(int(last) == checkpoint["meta"]["iter"])

    runner = make_runner(PLAN, tmp_path)
    runner.register_hook(LedgerHook(out_dir=tmp_path), priority="VERY_HIGH")
    runner.register_hook(Look())
    runner.train()
    assert seen
    assert all(seen)


class DrawMore(Hook):
    """Draws once more from one generator after an iteration."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw

    def after_train_iter(self, runner: RunContext, *_: Any, **__: Any) -> None:
        if runner.state.iteration == 5:
            self.draw()


@pytest.mark.parametrize(
    "draw", [lambda: torch.rand(()), np.random.rand], ids=["torch", "numpy"]
)
def test_a_number_drawn_more_shows_in_its_iteration(draw: Any, tmp_path: Path) -> None:
    """Before it can change a loss."""
    plain = evolve(PLAN, augment=False)
    one = write(plain, tmp_path / "one")
    runner = make_runner(plain, tmp_path / "other")
    runner.register_hook(LedgerHook(out_dir=tmp_path / "other"))
    runner.register_hook(DrawMore(draw))
    runner.train()
    found = find_parting(one, records(tmp_path / "other"))
    assert found is not None
    assert (found.iteration, found.parts) == (5, ("generators",))


@pytest.mark.parametrize(
    "batch",
    [
        torch.zeros(3),
        [torch.zeros(200, 3), torch.tensor([1, 2])],
        {"a": torch.zeros(2, dtype=torch.bfloat16), "b": [torch.zeros(1)] * 9},
        (1, "text", 0.5, None),
        torch.tensor(1.0),
        torch.zeros(0),
        torch.zeros(2, 2, dtype=torch.complex64).t().conj(),
        pytest.param(object(), id="an object"),
    ],
    ids=str,
)
def test_any_batch_has_a_checksum(batch: Any, tmp_path: Path) -> None:
    """Of what it consists does not matter; an equal one has the same."""
    trainer = echo_trainer(tmp_path)
    trainer.add_hook(LedgerHook())
    trainer.run([batch, batch])
    first, second = records(tmp_path)["samples"]
    assert first == second


@pytest.mark.parametrize("place", [0, 57, 199])
def test_another_sample_is_another_checksum(place: int, tmp_path: Path) -> None:
    """Also where only its label tells: labels are looked at one by one."""
    labels = torch.arange(64)
    other = labels.clone()
    other[place % 64] += 1
    trainer = echo_trainer(tmp_path)
    trainer.add_hook(LedgerHook())
    trainer.run([[torch.zeros(200, 3), labels], [torch.zeros(200, 3), other]])
    first, second = records(tmp_path)["samples"]
    assert first != second


def checksums(folder: Path, batches: list[Any]) -> list[int]:
    """What the ledger holds of each batch."""
    trainer = echo_trainer(folder)
    trainer.add_hook(LedgerHook())
    trainer.run(batches)
    found: list[int] = records(folder)["samples"].tolist()
    return found


@pytest.mark.parametrize("row", [0, 7, 31])
def test_one_large_sample_of_a_batch_shows(row: int, tmp_path: Path) -> None:
    """Of the bytes that are looked at, each sample has some."""
    images = torch.rand(32, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    other = images.clone()
    other[row] = images[row].flip(-1)
    first, second = checksums(tmp_path, [images, other])
    assert first != second


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.bool, torch.bfloat16, torch.float64, torch.complex64]
)
@pytest.mark.parametrize("shape", [(3, 2, 5), (8, 3, 20, 20)])
def test_how_a_batch_lies_in_memory_does_not_show(
    shape: tuple[int, ...], dtype: torch.dtype, tmp_path: Path
) -> None:
    """A worker and the main process may stack the same samples otherwise."""
    numbers = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 255
    batch = numbers.to(dtype)
    turned = batch.transpose(1, -1).contiguous().transpose(1, -1)
    assert not turned.is_contiguous()
    first, second = checksums(tmp_path, [batch, turned])
    assert first == second


def test_steps_without_a_loss_have_records_too(tmp_path: Path) -> None:
    """Its first number stands for it, or nothing."""
    trainer = echo_trainer(tmp_path)
    trainer.add_hook(LedgerHook())
    trainer.run([{"a": "text", "b": 0.5}, "nothing", 2.0, torch.zeros(3)])
    losses = records(tmp_path)["loss"]
    assert np.isnan(losses).tolist() == [False, True, False, True]
    assert (losses[0], losses[2]) == (0.5, 2.0)


def test_an_error_leaves_what_was_done(tmp_path: Path) -> None:
    """Blocks are written when the run fails, too."""

    def data() -> Any:
        yield from [1.0, 2.0]
        raise ZeroDivisionError

    trainer = echo_trainer(tmp_path)
    trainer.add_hook(LedgerHook())
    with pytest.raises(ZeroDivisionError):
        trainer.run(data(), max_epochs=1)
    assert records(tmp_path)["loss"].tolist() == [1.0, 2.0]


def test_long_runs_are_written_in_blocks(tmp_path: Path) -> None:
    """Each iteration once, in order."""
    trainer = echo_trainer(tmp_path)
    trainer.add_hook(LedgerHook())
    trainer.run([float(number) for number in range(600)])
    assert records(tmp_path)["loss"].tolist() == list(range(600))


class OnDevice(torch.Tensor):
    """Stands for a tensor on a device; notes each time that its number is fetched."""

    fetched: ClassVar[list[str]] = []
    is_cpu = property(lambda _: False)

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in ("item", "tolist", "cpu", "__float__", "numpy", "to"):
            cls.fetched.append(name)
        return super().__torch_function__(  # type: ignore[no-untyped-call]  # torch's
            func, types, args, kwargs or {}
        )


def test_losses_on_a_device_are_fetched_in_blocks(tmp_path: Path) -> None:
    """Once for 256 iterations, and once for the rest."""
    OnDevice.fetched.clear()
    trainer = echo_trainer(tmp_path)
    trainer.add_hook(LedgerHook())
    losses = [torch.tensor(float(one)).as_subclass(OnDevice) for one in range(300)]
    trainer.run([{"loss": loss} for loss in losses])
    assert OnDevice.fetched == ["tolist", "tolist"]
    assert records(tmp_path)["loss"].tolist() == list(range(300))


def test_mistakes_are_told(tmp_path: Path) -> None:
    """A folder that is none, and one that cannot be written."""
    with pytest.raises(ConfigError, match=r"LedgerHook: out_dir=3: give a folder"):
        LedgerHook(out_dir=3)  # type: ignore[arg-type]  # the mistake
    (tmp_path / "file").write_text("")
    trainer = echo_trainer(tmp_path)
    trainer.add_hook(LedgerHook(out_dir=tmp_path / "file"))
    with pytest.raises(CheckpointError, match="LedgerHook: cannot write"):
        trainer.run([1.0])


def test_it_changes_nothing(tmp_path: Path) -> None:
    """Looking at generators does not move them."""
    runner = train(PLAN, tmp_path / "plain")
    other = make_runner(PLAN, tmp_path / "watched")
    other.register_hook(LedgerHook())
    other.train()
    for one, two in zip(
        runner.model.parameters(), other.model.parameters(), strict=True
    ):
        assert torch.equal(one, two)
