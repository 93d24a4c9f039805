"""The benchmarks run and print what they promise; no time is asserted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run_quick(name: str, cwd: Path | None = None) -> list[str]:
    """What ``python benchmarks/NAME --quick`` prints, by line; it must succeed."""
    found = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / name), "--quick"],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout.splitlines()


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """What ``bench_overhead.py --quick`` prints, by line."""
    return run_quick("bench_overhead.py")


@pytest.fixture(scope="module")
def summary(printed: list[str]) -> dict[str, Any]:
    """The JSON line at the end."""
    read: dict[str, Any] = json.loads(printed[-1])
    return read


@pytest.mark.slow
def test_overhead_names_versions_and_device(summary: dict[str, Any]) -> None:
    """The summary says what was measured on what."""
    assert summary["benchmark"] == "overhead"
    assert summary["quick"] is True
    assert {"engine", "torch", "ignite", "python", "device"} <= summary.keys()


@pytest.mark.slow
def test_overhead_measures_every_contender(
    printed: list[str], summary: dict[str, Any]
) -> None:
    """Each scenario has each contender, in the table and in the JSON line."""
    always = {
        "bare loop",
        "bare loop, once more",
        "Ignite, no handlers",
        "Ignite, 6 handlers",
        "TrainEngine, no handlers",
        "TrainEngine, 6 handlers",
        "TrainEngine, optimizer tracked",
        "Runner, default hooks",
        "Runner, default hooks and LedgerHook",
        "the same lines by hand",
    }
    names = {
        scenario: {row["name"] for row in rows}
        for scenario, rows in summary["iterations"].items()
    }
    late = {"Runner at iteration 10**6"}
    assert names == {"list": always, "loader": always, "noop": always | late}
    first_columns = [line[:38].strip() for line in printed]
    for name in always:  # Ignite stands in the table of events too
        assert first_columns.count(name) >= len(names), name


@pytest.mark.slow
def test_overhead_judges_every_budget(
    printed: list[str], summary: dict[str, Any]
) -> None:
    """Each budget has a number and a verdict, but the one that needs MMEngine."""
    budgets = summary["budgets"]
    assert len(budgets) == 15
    unmeasured = [one["what"] for one in budgets if one["measured"] is None]
    assert len(unmeasured) == 1
    assert "--mmengine-python" in unmeasured[0]
    table = "\n".join(printed[:-1])
    for budget in budgets:
        assert budget["what"] in table
        assert budget["verdict"] in ("pass", "FAIL", "not measured")


@pytest.mark.slow
def test_a_checkpoint_does_not_grow_with_the_run(summary: dict[str, Any]) -> None:
    """A checkpoint at iteration 10**6 has the bytes of one with just full windows."""
    early, late = summary["checkpoint_bytes"].values()
    # Whole numbers are pickled in as many bytes as they need.
    assert abs(late - early) < 1_000


@pytest.mark.slow
def test_the_config_benchmark_loads_and_dumps_the_same_lines() -> None:
    """Two thousand of them, in seven files."""
    printed = run_quick("bench_config.py")
    read = json.loads(printed[-1])
    assert (read["benchmark"], read["quick"]) == ("config", True)
    assert read["lines"] >= 2_000
    assert set(read["seconds"]["engine"]) >= {"load", "dump", "both"}


@pytest.mark.slow
def test_the_optimizer_benchmark_measures_each_case() -> None:
    """Each kind of wrapper at each number of tensors, and one and ten schedules."""
    printed = run_quick("bench_optim.py")
    read = json.loads(printed[-1])
    assert (read["benchmark"], read["quick"]) == ("optim", True)
    steps = read["steps"]["engine"]
    assert set(steps) == {"0", "10", "1000"}
    settings = ("", ", clip", ", windows of 4")
    for cases in steps.values():
        assert set(cases) == {
            f"{dtype}{setting}"
            for dtype in ("float32", "bfloat16")
            for setting in settings
        }
        assert all(row["ratio"] > 0 for row in cases.values())
    assert {"engine, 1", "engine, 10"} <= set(read["schedules"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("save", "blocked / one copy"),
        ("sharded", "blocked / copy"),
        ("faults", "two runs"),
    ],
)
def test_the_benchmarks_of_saving_run(name: str, expected: str, tmp_path: Path) -> None:
    """They print a table, and no fault loses a run."""
    printed = run_quick(f"bench_{name}.py", tmp_path)
    *table, last = printed
    read = json.loads(last)
    assert (read["benchmark"], read["quick"]) == (name, True)
    assert expected in "\n".join(table)


@pytest.mark.slow
@pytest.mark.distributed
def test_the_benchmarks_of_ranks_run(tmp_path: Path) -> None:
    """Of two real ones, and of simulated ones."""
    *table, last = run_quick("bench_distributed.py", tmp_path)
    read = json.loads(last)
    assert (read["benchmark"], read["quick"], read["ranks"]) == ("distributed", True, 2)
    assert set(read["over_bare"]) == {
        "bare loop",
        "bare loop, once more",
        "bare loop, exchange waited for",
        "bare loop, exchange overlapped",
        "TrainEngine",
    }
    assert "blocked by a save" in "\n".join(table)
    read = json.loads(run_quick("bench_scale.py", tmp_path)[-1])
    assert (read["benchmark"], read["ranks"]) == ("scale", 32)
    figures = read["figures"]
    # Of a rank, whatever their number; and of rank 0, by that.
    assert 0 < figures["patch of a rank, bytes to rank 0"] < 100_000
    assert figures["file, KiB with all ranks"] > figures["file, KiB alone"]


@pytest.mark.slow
def test_the_data_benchmark_measures_each_setting() -> None:
    """Each setting of each dataset, and resumes that fetch one batch each."""
    printed = run_quick("bench_data.py")
    read = json.loads(printed[-1])
    assert (read["benchmark"], read["quick"]) == ("data", True)
    kinds = ("own dataset", "TensorDataset")
    assert set(read["randomness"]) == {
        f"{kind}{workers}" for kind in kinds for workers in ("", ", 1 worker")
    }
    for settings in read["randomness"].values():
        assert set(settings) == {"off", "off, once more", "batch", "sample"}
    assert set(read["resume"]) == {
        "shuffle=True",
        "DefaultSampler",
        "IndexShuffleSampler",
    }
    for one in read["resume"].values():
        assert one["fetched"] == [read["batch"]]
        assert set(one["first step"]) == {"100", "9999"}
