"""How did it go: the first thing that a report says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

from engine.report.best import best_index, rule_of
from engine.report.numbers import number, plural, span
from engine.report.records import seconds_between

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.report.run import Curve, Event, Run

__all__ = ["Figure", "Score", "Status", "figures", "scores", "status", "warnings"]


@frozen
class Status:
    """How a run ended.

    Args:
        word: One or two words.
        tone: ``good``, ``warn``, ``bad`` or ``plain``.
        text: A sentence.
    """

    word: str
    tone: str
    text: str


@frozen
class Figure:
    """A number at the top of the page.

    Args:
        label: What it is.
        value: As it is shown.
        detail: More about it.
        tone: Of :class:`Status`.
    """

    label: str
    value: str
    detail: str = ""
    tone: str = "plain"


@frozen
class Score:
    """A metric of the validations.

    Args:
        name: The metric.
        rule: ``"greater"``, ``"less"``, or ``None``.
        best: The best value; ``None`` if that is not to be told.
        step: Of the validation that gave it.
        last: The last value.
    """

    name: str
    rule: str | None
    best: float | None
    step: int | None
    last: float


def status(run: Run) -> Status:
    """How the run ended, as far as its files tell."""
    if not run.starts:
        if run.curves:
            return Status("no log", "plain", "There is no log, only a metrics file.")
        return Status("evaluated", "plain", "Nothing was trained here.")
    last = run.starts[-1]
    place = _place(run)
    if last.outcome == "failed":
        return Status("failed", "bad", f"Failed after {place}: {last.reason}")
    if last.outcome == "interrupted":
        by = f" ({last.reason})" if last.reason else ""
        text = f"Interrupted{by} after {place}. Go on by --resume."
        return Status("interrupted", "warn", text)
    if last.outcome == "stopped":
        return Status("stopped early", "warn", f"Stopped after {place}: {last.reason}.")
    if last.outcome == "finished" or _is_done(run):
        lost = _lost_loss(run)
        tone = "warn" if lost else "good"
        return Status("finished", tone, f"Finished: {place}.{lost}")
    text = (
        f"No end is recorded: it is still running, or was killed. The log's last line, "
        f"of {clock(last.ended)}, is after {place}."
    )
    return Status("no end recorded", "warn", text)


def _lost_loss(run: Run) -> str:
    """What to say of a loss that is no number any more; nothing of one that is."""
    loss = main_loss(run)
    if loss is None or math.isfinite(loss.values[-1]):
        return ""
    known = [
        place
        for place, value in zip(loss.places, loss.values, strict=True)
        if math.isfinite(value)
    ]
    since = f"after iteration {known[-1]:,}" if known else "from the first line on"
    return f" Its {loss.name} is not finite {since}."


def clock(time: str) -> str:
    """``2026-11-24 23:37:26`` of an ISO 8601 time.

    >>> clock("2026-11-24T23:37:26.526+00:00")
    '2026-11-24 23:37:26'
    """
    return f"{time[:10]} {time[11:19]}".strip()


def _is_done(run: Run) -> bool:
    """Whether the bound was reached, of a run whose log does not say how it ended."""
    epochs, iterations = bounds(run)
    last = run.starts[-1]
    if iterations is not None:
        return run.iterations >= iterations
    return epochs is not None and (last.epoch or 0) >= epochs


def bounds(run: Run) -> tuple[int | None, int | None]:
    """How many epochs and iterations the run was to have; ``None``: not bounded so."""
    given = run.settings.get("train_cfg")
    given = given if isinstance(given, dict) else {}
    last = run.starts[-1] if run.starts else None
    if last is not None and (last.max_epochs, last.max_iters) != (None, None):
        return last.max_epochs, last.max_iters
    found = [given.get(name) for name in ("max_epochs", "max_iters")]
    epochs, iterations = [one if isinstance(one, int) else None for one in found]
    return (None if iterations else epochs), iterations


def _place(run: Run) -> str:
    epochs, iterations = bounds(run)
    done = run.iterations
    if iterations is not None:
        return _of(done, iterations, "iteration")
    last = run.starts[-1]
    if epochs is None or last.epoch is None:
        return plural(done, "iteration")
    whole = _of(last.epoch, epochs, "epoch")
    return f"{whole}, {plural(done, 'iteration')}"


def _of(done: int, whole: int, what: str) -> str:
    if done == whole:
        return plural(done, what)
    return f"{done:,} of {plural(whole, what)}"


def scores(run: Run) -> Sequence[Score]:
    """Each metric of the validations: those of which a best one is known come first."""
    names = dict.fromkeys(name for one in run.validations for name in one.metrics)
    found = []
    for name in names:
        told = [
            (one.step, one.metrics[name])
            for one in run.validations
            if name in one.metrics
        ]
        rule = rule_of(run.settings, name)
        index = best_index([value for _, value in told], rule)
        step, best = (None, None) if index is None else told[index]
        found.append(Score(name, rule, best, step, told[-1][1]))
    return sorted(found, key=lambda one: one.rule is None)


def throughput(run: Run) -> float | None:
    """Iterations per second while it trained; ``None`` if nothing tells."""
    spent = run.spent
    if spent is None or not spent.iterations:
        return None
    busy = spent.data + spent.step + (spent.rest if spent.measured else 0.0)
    return spent.iterations / busy if busy > 0 else None


def warnings(run: Run) -> Sequence[Event]:
    """What happened that somebody should know of."""
    return [one for one in run.events if one.level in ("warning", "error", "critical")]


def figures(run: Run) -> Sequence[Figure]:
    """The numbers that answer how it went."""
    return list(_figures(run))


def _figures(run: Run) -> Iterator[Figure]:
    unit = step_unit(run)
    trained = {one.name for one in run.curves if one.mode == "train"}
    for one in scores(run)[:2]:
        name = f"validation {one.name}" if one.name in trained else one.name
        if one.best is None:
            yield Figure(f"last {name}", number(one.last))
        else:
            detail = f"{unit} {one.step:,}; last {number(one.last)}"
            yield Figure(f"best {name}", number(one.best), detail)
    for test in run.tests[-1:]:
        for name, value in list(test.metrics.items())[:1]:
            yield Figure(f"{test.mode}: {name}", number(value), clock(test.time))
    loss = main_loss(run)
    if loss is not None:
        value = loss.values[-1]
        known = [one for one in loss.values if math.isfinite(one)]
        bad = len(loss.values) - len(known)
        detail = f"{bad} of {len(loss.values)} not finite" if bad else ""
        if known and not bad:
            detail = f"from {number(known[0])}; lowest {number(min(known))}"
        tone = "bad" if bad else "plain"
        yield Figure(f"last {loss.name}", number(value), detail, tone)
    yield from _time_figures(run)
    yield from _state_figures(run)


def step_unit(run: Run) -> str:
    """What the steps of validations count."""
    by_iteration = all(one.step == one.iteration for one in run.validations)
    return "iteration" if by_iteration else "epoch"


def main_loss(run: Run) -> Curve | None:
    named = [one for one in run.curves if one.mode == "train" and "loss" in one.name]
    exact = [one for one in named if one.name == "loss"]
    return next(iter(exact or named), None)


def _time_figures(run: Run) -> Iterator[Figure]:
    if not run.starts:
        return
    wall = sum(max(seconds_between(one.began, one.ended), 0) for one in run.starts)
    several = f"in {plural(len(run.starts), 'start')}" if len(run.starts) > 1 else ""
    yield Figure("wall time", span(wall), several)
    spent, rate = run.spent, throughput(run)
    if spent is not None and rate is not None:
        each = spent.samples / spent.iterations
        samples = f"{each * rate:,.0f} samples/s" if spent.samples else ""
        yield Figure("throughput", f"{rate:,.1f} it/s", samples)


def _state_figures(run: Run) -> Iterator[Figure]:
    files = run.checkpoints
    looked = [one for one in files if one.good is not None]
    bad = sum(one.good is False for one in files)
    if bad:
        yield Figure("checkpoints", f"{bad} of {len(files)} bad", "see below", "bad")
    elif files:
        word = "all verify" if looked else "not verified"
        yield Figure(
            "checkpoints", str(len(files)), word, "good" if looked else "plain"
        )
    told = warnings(run)
    worst = "bad" if any(one.level != "warning" for one in told) else "warn"
    many = sum(one.count for one in told)
    yield Figure("warnings", str(many), "", worst if many else "good")
