"""Trials of verify-resume in forked processes, for tests: as a script, one trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from engine.testing.trial import Trial, perform_one, read_result
from tests import forked

__all__ = ["ForkedTrials"]


class ForkedTrials:
    """Takes the place of ``TrialServer``: no interpreter is begun for it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @staticmethod
    def perform(trial: Trial) -> dict[str, Any]:
        """Run a trial; what it wrote down."""
        done = forked.run(Path(__file__), trial.write(), cwd=Path(trial.folder))
        return read_result(trial, str(done.returncode))


if __name__ == "__main__":
    perform_one()
