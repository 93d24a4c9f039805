"""``engine diff-runs``: the first iteration in which two runs part."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.hooks import LedgerHook
from tests.runs import RunPlan, make_runner

if TYPE_CHECKING:
    from pathlib import Path

RUNNER = CliRunner()
PLAN = RunPlan(max_epochs=2, watched=True)


def trained(
    work_dir: Path, *, ledger: bool, later: bool = False, **changes: Any
) -> None:
    """Train; with ``later`` the learning rate of iteration 4 is another."""
    runner = make_runner(PLAN, work_dir, **changes)
    if ledger:
        runner.register_hook(LedgerHook())
    if later:
        runner.trainer.add_event_handler("ITERATION_STARTED", nudge, runner)
    runner.train()


def nudge(runner: Any) -> None:
    """Change the rate of iteration 4, a little."""
    if runner.iter == 3:
        runner.optim_wrapper.param_groups[0]["lr"] *= 1.5


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``one``, ``nudged`` and ``resumed``; those without ledger ``plain_…``."""
    folder = tmp_path_factory.mktemp("runs")
    for ledger in (True, False):
        name = "" if ledger else "plain_"
        trained(folder / f"{name}one", ledger=ledger)
        trained(folder / f"{name}nudged", ledger=ledger, later=True)
        # It had come to the end, and goes on from the middle once more.
        shutil.copytree(folder / f"{name}nudged", folder / f"{name}resumed")
        saved = folder / f"{name}resumed" / "iter_3.pth"
        trained(folder / f"{name}resumed", ledger=ledger, load_from=saved, resume=True)
    return folder


def call(one: Path, other: Path) -> tuple[int, list[str]]:
    """Exit code and lines."""
    done = RUNNER.invoke(app, ["diff-runs", str(one), str(other)])
    return done.exit_code, done.output.splitlines()


def test_a_resumed_run_is_the_unbroken_one(runs: Path) -> None:
    """Its later start stands for the iterations that it did anew."""
    told = ["6 iterations are equal.", "8 lines of metrics are equal."]
    assert call(runs / "one", runs / "resumed") == (0, told)


def test_the_first_iteration_and_part_are_named(runs: Path) -> None:
    """With the values."""
    code, lines = call(runs / "one", runs / "nudged")
    assert (code, len(lines)) == (1, 1)
    assert lines[0].startswith("The runs part in iteration 4: lr (")


def test_without_ledgers_the_metrics_are_compared(runs: Path) -> None:
    """It says so, and how to get more."""
    code, lines = call(runs / "plain_one", runs / "plain_resumed")
    assert (code, lines[1]) == (0, "8 lines of metrics are equal.")
    assert lines[0].startswith("No ledger in ")
    code, lines = call(runs / "one", runs / "plain_nudged")
    assert code == 1
    # A line has the rate that its iteration began with.
    assert lines[1] == "The metrics part at iteration 5:"
    assert lines[2].startswith("  ['lr']: ")


def test_an_iteration_that_one_run_lacks_is_a_difference(
    runs: Path, tmp_path: Path
) -> None:
    """And who has it is told."""
    trained(tmp_path / "w", ledger=True, train_cfg={"max_epochs": 1})
    code, lines = call(runs / "one", tmp_path / "w")
    assert code == 1
    assert lines[0].startswith("The runs part in iteration ")


def test_mistakes_are_one_message(runs: Path, tmp_path: Path) -> None:
    """A folder that is not there, one that is no run's, a file that is no ledger."""
    assert call(runs / "one", tmp_path / "none")[0] == 2
    code, lines = call(runs / "one", tmp_path)
    assert code == 2
    assert "holds neither a ledger nor a metrics file" in lines[-1]
    (tmp_path / "ledger.bin").write_text("x")
    code, lines = call(runs / "one", tmp_path)
    assert code == 2
    assert "no ledger: expected a file that begins with" in lines[-1]
