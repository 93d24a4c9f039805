"""Cuts a user's own run at several places, and says what a resume does not repeat."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from engine.checkpoint import compare_checkpoints, read
from engine.errors import ConfigError, EngineError
from engine.state import Parting, find_parting, ledger_name, read_ledger
from engine.state.ledger import MAGIC
from engine.testing.cuts import Cut, Facts, choose_cuts
from engine.testing.records import read_ledgers
from engine.testing.trial import (
    END,
    RESUMED,
    Trial,
    TrialServer,
    cut_name,
    perform_anew,
)
from engine.testing.trial_ranks import check_ranks

if TYPE_CHECKING:
    import os

__all__ = ["Finding", "ResumeReport", "verify_resume"]

_SHOWN = 3  # differences that a finding names


@frozen(kw_only=True)
class Finding:
    """What came of one stop and resume.

    Args:
        place: Which.
        problems: What is not as in the unbroken run, the first thing first.
    """

    place: str
    problems: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether it is the unbroken run."""
        return not self.problems

    def __str__(self) -> str:
        """A line, and one more for each problem."""
        verdict = "DIFFERS" if self.problems else "same"
        return "\n  ".join([f"{self.place}: {verdict}", *self.problems])


@frozen(kw_only=True)
class ResumeReport:
    """What :func:`verify_resume` found; true if nothing differs.

    Args:
        facts: Of the unbroken run.
        findings: One for the run that was stopped and went on in one process, then one
            for each resume.
    """

    facts: Facts
    findings: tuple[Finding, ...] = field(factory=tuple)

    def __bool__(self) -> bool:
        """Whether every stopped run is the unbroken one."""
        return all(self.findings)


def verify_resume(
    config: str | os.PathLike[str],
    *,
    points: int = 4,
    iterations: int = 24,
    workers: Sequence[int] = (),
    overrides: Sequence[str] = (),
    work_dir: str | os.PathLike[str] | None = None,
    nproc: int = 1,
    tell: Callable[[str], object] | None = None,
) -> ResumeReport:
    """Train a short run of a config, cut it at several places, resume, and compare.

    Each trial is a process of its own: the unbroken run; one that is stopped at every
    place, saved and gone on with, in an interpreter begun anew; and for each place one
    that resumes there. Compared are the batch, learning rate, loss and generators of
    each iteration, and at the end all that a checkpoint holds.

    Args:
        config: A config file. Its run is stopped after 3 epochs or about ``iterations``
            iterations; its hooks, data and schedules are used as they are.
        points: How many places.
        iterations: About how long a trial is.
        workers: Of the training loader in the resumed runs, in turn; none: the
            config's.
        overrides: ``key=value`` texts that change the config.
        work_dir: Keeps the trials' folders; ``None``: they are deleted.
        nproc: Ranks that each trial has, on this machine; every rank's iterations are
            compared.
        tell: Gets each line of the report as soon as it is known.

    Raises:
        ConfigError: A number is out of range, or the config cannot be run.
        EngineError: The unbroken run fails.
    """
    for name, value in (("points", points), ("iterations", iterations)):
        if value < 1:
            message = f"verify-resume: {name}={value}: give a number of at least 1"
            raise ConfigError(message)
    if any(count < 0 for count in workers):
        message = f"verify-resume: workers={list(workers)}: give numbers of at least 0"
        raise ConfigError(message)
    check_ranks(nproc)
    with _folder(work_dir) as folder, TrialServer() as server:
        trial = Trial(
            config=str(Path(config).resolve()),
            overrides=list(overrides),
            folder=str(folder / "unbroken"),
            iterations=iterations,
            ranks=nproc,
        )
        check = _Check(trial, folder, server, tell or (lambda _: None))
        return check.run(points, workers)


@contextmanager
def _folder(work_dir: str | os.PathLike[str] | None) -> Iterator[Path]:
    if work_dir is None:
        with tempfile.TemporaryDirectory(prefix="engine_verify_resume_") as folder:
            yield Path(folder)
        return
    kept = Path(work_dir).resolve()
    if kept.exists() and any(kept.iterdir()):
        message = f"{kept}: not empty: give verify-resume a work dir of its own"
        raise ConfigError(message)
    kept.mkdir(parents=True, exist_ok=True)
    yield kept


@frozen
class _Check:
    """The trials of one call.

    Args:
        whole: The unbroken run.
        folder: Gets the trials' folders.
        server: Runs trials.
        tell: Gets lines.
    """

    whole: Trial
    folder: Path
    server: TrialServer
    tell: Callable[[str], object]

    def run(self, points: int, workers: Sequence[int]) -> ResumeReport:
        result = self.server.perform(self.whole)
        _refuse_failure("the unbroken run", result)
        facts = Facts(**{**result, "validations": tuple(result["validations"])})
        cuts = choose_cuts(facts, points)
        if not cuts:
            message = (
                f"verify-resume: the run has {facts.iterations} iteration: there is no "
                "place to cut it. Give --iterations, or a config that trains longer."
            )
            raise ConfigError(message)
        self.tell(
            f"The unbroken run: {facts.iterations} iterations, an epoch has "
            f"{facts.epoch_length}, validations after {list(facts.validations)}. "
            f"{len(cuts) + 1} trials follow."
        )
        head = evolve(
            self.whole,
            folder=str(self.folder / "stopped"),
            cuts=[(cut.iteration, cut.validated) for cut in cuts],
        )
        findings = [self._told(self._stopped(head, cuts))]
        if _names_no_cut(findings[0]):
            return ResumeReport(facts=facts, findings=tuple(findings))
        for number, cut in enumerate(cuts):
            count = workers[number % len(workers)] if workers else None
            findings.append(self._told(self._resumed(head, number, cut, count)))
        return ResumeReport(facts=facts, findings=tuple(findings))

    def _told(self, finding: Finding) -> Finding:
        self.tell(str(finding))
        return finding

    def _stopped(self, head: Trial, cuts: Sequence[Cut]) -> Finding:
        """The run that is stopped at every cut and goes on in its process."""
        place = "stopped at every place and gone on with in one process"
        result = perform_anew(head)
        parting = _parting(self.whole, head)
        began = parting is not None and parting.parts != ("records",)
        if began and parting is not None and parting.iteration <= cuts[0].iteration:
            problem = (
                f"before any stop, in {parting}. Nothing can resume such a run "
                "exactly: look for a set's order, the clock, threads, or operations "
                "that are not deterministic (randomness.deterministic=True)."
            )
            return Finding(place=_UNREPEATABLE, problems=(problem,))
        _refuse_failure("the run that is stopped", result)
        return Finding(place=place, problems=self._differences(head, parting))

    def _resumed(
        self, head: Trial, number: int, cut: Cut, workers: int | None
    ) -> Finding:
        place = f"resumed after iteration {cut.iteration} ({cut.why})"
        if workers is not None:
            place += f" with {workers} workers"
        saved = str(Path(head.folder) / cut_name(number))
        tail = evolve(
            self.whole,
            folder=str(self.folder / f"resumed_{number}"),
            luck=1 + number,
            resume_from=saved,
            workers=workers,
        )
        result = self.server.perform(tail)
        if "error" in result:
            problem = f"the resumed run fails: {result['error']}"
            return Finding(place=place, problems=(problem,))
        parting = _parting(self.whole, tail, after=cut.iteration)
        problems = self._differences(tail, parting)
        if problems:
            problems += self._diagnosed(tail, saved)
        return Finding(place=place, problems=problems)

    def _differences(self, trial: Trial, parting: Parting | None) -> tuple[str, ...]:
        problems = [] if parting is None else [f"first in {parting}"]
        ends = [read(Path(one.folder) / END) for one in (self.whole, trial)]
        found = list(compare_checkpoints(*ends))
        problems += [f"at the end: {one}" for one in islice(found, _SHOWN)]
        if len(found) > _SHOWN:
            problems.append(f"and {len(found) - _SHOWN} more at the end")
        return tuple(problems)

    def _diagnosed(self, tail: Trial, saved: str) -> tuple[str, ...]:
        """What the resume itself did not bring back."""
        probe = evolve(tail, folder=f"{tail.folder}_probe", only_resume=True)
        result = self.server.perform(probe)
        if "error" in result:
            return ()
        found = list(
            compare_checkpoints(read(saved), read(Path(probe.folder) / RESUMED))
        )
        if found:
            return tuple(f"not brought back: {one}" for one in found[:_SHOWN])
        told = (
            "the resume brought back all that the checkpoint holds: what differs has "
            "memory that is not in it"
        )
        return (told, *(f"suspect: {one}" for one in result["suspects"]))


_UNREPEATABLE = "two unbroken runs"


def _names_no_cut(finding: Finding) -> bool:
    return finding.place == _UNREPEATABLE


def _parting(whole: Trial, part: Trial, after: int = 0) -> Parting | None:
    """The first iteration of a trial, on any rank, not as in the unbroken run."""
    mine, theirs = (read_ledgers(Path(one.folder)) for one in (whole, part))
    nothing = read_ledger(MAGIC)  # of a rank that has written none
    partings = []
    for rank in range(whole.ranks):
        name = ledger_name(rank)
        unbroken = mine.get(name, nothing)
        later = unbroken[unbroken["iteration"] > after]
        found = find_parting(later, theirs.get(name, nothing))
        if found is not None:
            partings.append((found.iteration, rank, found))
    if not partings:
        return None
    _, rank, first = min(partings, key=lambda one: one[:2])
    return evolve(first, rank=rank) if whole.ranks > 1 else first


def _refuse_failure(what: str, result: dict[str, Any]) -> None:
    if "error" not in result:
        return
    message = f"verify-resume: {what} fails: {result['error']}"
    if result["mistake"]:
        raise ConfigError(message)
    error = EngineError(message)
    error.add_note(result["traceback"])
    raise error
