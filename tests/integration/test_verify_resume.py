"""``engine verify-resume`` as a user calls it, on the shipped example."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import forked

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "docs" / "examples" / "digits.py"


@pytest.mark.slow
def test_the_digits_resume_exactly(tmp_path: Path) -> None:
    """With interpreters of their own, other workers, and nothing left behind."""
    done = forked.run(
        *("-m", "engine", "verify-resume", DIGITS, "--points", "1"),
        *("--iterations", "6", "--workers", "2", "--set", "val_dataloader=None"),
        *("--set", "val_cfg=None", "--set", "val_evaluator=None"),
        *("--set", "default_hooks.checkpoint=None"),
        cwd=tmp_path,
        env={"TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        (
            "The unbroken run: 6 iterations, an epoch has 2, validations after []. "
            "2 trials follow."
        ),
        "stopped at every place and gone on with in one process: same",
        "resumed after iteration 1 (inside an epoch) with 2 workers: same",
        "",
        "All 2 trials are the unbroken run.",
    ]
    left = [one.name for one in tmp_path.iterdir()]  # torch has a folder of its own
    assert [name for name in left if not name.startswith("torchinductor")] == []


def test_a_mistake_is_one_message(tmp_path: Path) -> None:
    """Exit code 2, no traceback."""
    call = ("-m", "engine", "verify-resume", DIGITS, "--workers", "many")
    done = forked.run(*call, cwd=tmp_path)
    told = "error: --workers 'many': give numbers with commas between, as 0,2\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)
