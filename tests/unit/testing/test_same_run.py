"""same_run: are two runs the same, and if not, where do they part?"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch

from engine.checkpoint import read
from engine.errors import CheckpointNotFoundError, ConfigError, SerializationError
from engine.hooks import LedgerHook
from engine.testing import assert_same_run, same_run
from engine.testing.records import log_folders, read_scalars
from tests.runs import RunPlan, make_runner

if TYPE_CHECKING:
    from pathlib import Path

PLAN = RunPlan(max_epochs=2, watched=True)


def trained(work_dir: Path, **changes: Any) -> Path:
    """A work dir with checkpoints, a ledger and metrics."""
    runner = make_runner(PLAN, work_dir, **changes)
    runner.register_hook(LedgerHook())
    runner.train()
    return work_dir


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``one``, ``again``, ``resumed`` (stopped after 2) and ``other``."""
    folder = tmp_path_factory.mktemp("runs")
    trained(folder / "one")
    trained(folder / "again")
    shutil.copytree(folder / "one", folder / "resumed")
    saved = folder / "resumed" / "iter_2.pth"
    trained(folder / "resumed", load_from=saved, resume=True)
    trained(folder / "other", randomness={"seed": 8})
    return folder


@pytest.mark.parametrize("name", ["again", "resumed"])
def test_a_repeated_and_a_resumed_run_are_the_same(name: str, runs: Path) -> None:
    """Work dirs, checkpoints, what was read of them, and lists."""
    found = same_run(runs / "one", runs / name)
    assert found, str(found)
    assert {"logs", "iter_3.pth", "epoch_2.pth"} <= set(found.compared)
    assert str(found).startswith("the same run: logs, ")
    files = [runs / one / "epoch_2.pth" for one in ("one", name)]
    assert_same_run(*files)
    assert same_run(*map(read, files))
    assert same_run([files[0], runs / "one"], [str(files[1]), runs / name])


def test_the_first_difference_is_in_the_order_of_the_run(runs: Path) -> None:
    """The ledger tells the iteration; the message is that of the assertion."""
    found = same_run(runs / "one", runs / "other")
    assert not found
    assert str(found).startswith("not the same run: ledger, iteration 1: samples, ")
    with pytest.raises(AssertionError, match=r"not the same run: ledger, iteration 1"):
        assert_same_run(runs / "one", runs / "other")


def test_a_key_is_named_with_the_size_of_its_difference(
    runs: Path, tmp_path: Path
) -> None:
    """One weight that is off by a little."""
    changed = read(runs / "one" / "epoch_2.pth")
    name = next(iter(changed["state_dict"]))
    changed["state_dict"][name] = changed["state_dict"][name] + 0.5
    torch.save(changed, tmp_path / "changed.pth")
    found = same_run(runs / "one" / "epoch_2.pth", tmp_path / "changed.pth")
    assert str(found).startswith(f"not the same run: weights['{name}']: ")
    assert found.differences[0].size == pytest.approx(0.5)
    listed = same_run(
        [runs / "one", runs / "one" / "epoch_2.pth"],
        [runs / "one", tmp_path / "changed.pth"],
    )
    assert str(listed).startswith(f"not the same run: [1] weights['{name}']: ")


def test_a_metric_that_was_logged_otherwise_is_found(
    runs: Path, tmp_path: Path
) -> None:
    """Though nothing of it is in a checkpoint."""
    shutil.copytree(runs / "one", tmp_path / "w")
    (folder,) = log_folders(tmp_path / "w")
    path = folder / "vis_data" / "scalars.json"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1]["loss"] += 1
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    found = same_run(runs / "one", tmp_path / "w")
    assert "scalars['iteration 2']['loss']: " in str(found)


def test_a_run_that_did_not_come_as_far_is_another(runs: Path, tmp_path: Path) -> None:
    """The newest checkpoints must have one name."""
    (tmp_path / "w").mkdir()
    for name in ("iter_1.pth", "iter_2.pth"):
        shutil.copy(runs / "one" / name, tmp_path / "w")
    found = same_run(runs / "one", tmp_path / "w")
    assert str(found).startswith("not the same run: newest checkpoint: epoch_2.pth in")
    assert len(found.differences) == 1
    assert not same_run([runs / "one"], [])


def test_what_cannot_be_compared_is_told(runs: Path, tmp_path: Path) -> None:
    """A path that leads nowhere, a folder beside a file, neither."""
    with pytest.raises(CheckpointNotFoundError, match="there is no such checkpoint"):
        same_run(runs / "one" / "epoch_2.pth", tmp_path / "none.pth")
    with pytest.raises(CheckpointNotFoundError, match="holds no checkpoint"):
        same_run(runs / "one", tmp_path)
    with pytest.raises(ConfigError, match=r"is a folder and .* is none"):
        same_run(runs / "one", runs / "one" / "epoch_2.pth")
    with pytest.raises(ConfigError, match="expected two paths, two checkpoints or two"):
        same_run(3, "a")


def test_records_of_starts_are_one_history(tmp_path: Path) -> None:
    """By time and number, not by name; half a line at the end is left out."""
    for name, loss, end in (
        ("20261124_101010", 1.0, '{"lo'),
        ("20261124_101010_2", 2.0, ""),
        ("20261124_101010_10", 3.0, ""),
    ):
        path = tmp_path / name / "vis_data" / "scalars.json"
        path.parent.mkdir(parents=True)
        path.write_text(
            json.dumps({"loss": loss, "time": loss, "iter": 10, "step": 10})
            + f"\n{json.dumps({'acc': loss, 'step': 1})}\n{end}"
        )
    (tmp_path / "vis_data").mkdir()
    assert read_scalars(tmp_path) == {
        "iteration 10": {"loss": 3.0, "iter": 10, "step": 10},
        "step 1: acc": {"acc": 3.0, "step": 1},
    }
    (tmp_path / "20261124_101011" / "vis_data").mkdir(parents=True)
    (tmp_path / "20261124_101011" / "vis_data" / "scalars.json").write_text("[1]\n")
    with pytest.raises(SerializationError, match=r"scalars.json:1: expected a JSON"):
        read_scalars(tmp_path)
