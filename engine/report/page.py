"""The page: one HTML file with all that it needs, which loads nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from attrs import frozen
from jinja2 import Environment, StrictUndefined

from engine.errors import ReportError
from engine.report import numbers
from engine.report.best import best_index
from engine.report.config import comparable, differences
from engine.report.panels import as_json, panels
from engine.report.records import seconds_between
from engine.report.summary import (
    clock,
    figures,
    main_loss,
    scores,
    status,
    step_unit,
    throughput,
    warnings,
)
from engine.units import size_text
from engine.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from engine.report.run import Run, Spent
    from engine.report.summary import Score

__all__ = ["render", "write_page"]


def write_page(runs: Sequence[Run], path: Path, *, made: str = "") -> None:
    """Write the page of some runs.

    Args:
        runs: At least one; several are compared.
        path: The file.
        made: When, for the page's foot.

    Raises:
        ReportError: It cannot be written.
    """
    text = render(runs, made=made)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        message = (
            f"{path}: the report cannot be written: {error.strerror or error}. Choose "
            "another file by -o."
        )
        raise ReportError(message) from error


def render(runs: Sequence[Run], *, made: str = "") -> str:
    """The page of some runs as text.

    Args:
        runs: At least one; several are compared.
        made: When, for the page's foot.
    """
    data = {
        "runs": [run.name for run in runs],
        "panels": [as_json(panel) for panel in panels(runs)],
    }
    page: str = _template().render(
        runs=runs,
        several=len(runs) > 1,
        title=runs[0].name if len(runs) == 1 else f"{len(runs)} runs",
        table=compare(runs),
        config_differences=differences([comparable(run.settings) for run in runs]),
        environment_differences=differences([run.environment for run in runs]),
        data=_embedded(data),
        style=_file("page.css"),
        script=_file("page.js"),
        version=__version__,
        made=made,
    )
    return f"{page.strip()}\n"


def _embedded(data: Mapping[str, Any]) -> str:
    """Data for a script element, which no text in it can end."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


@cache
def _template() -> Any:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        clock=clock,
        figures=figures,
        number=numbers.number,
        plural=numbers.plural,
        seconds_between=seconds_between,
        share=numbers.share,
        size=size_text,
        span=numbers.span,
        spent_parts=spent_parts,
        status=status,
        step_unit=step_unit,
        throughput=throughput,
        validation_table=validation_table,
        warnings=warnings,
    )
    return environment.from_string(_file("page.html.j2"))


def _file(name: str) -> str:
    return files("engine.report").joinpath(name).read_text(encoding="utf-8")


@frozen
class Part:
    """A part of the time that a run took.

    Args:
        key: For its colour.
        label: What it is.
        seconds: How long.
    """

    key: str
    label: str
    seconds: float


def spent_parts(spent: Spent) -> Sequence[Part]:
    """Where time went, the training step first."""
    rest = (
        "hooks and engine" if spent.measured else "all else: start, validation, hooks"
    )
    found = [
        Part("step", "training step", spent.step),
        Part("data", "waiting for data", spent.data),
        Part("validation", "validation", spent.validation),
        Part("saving", "waiting for saves", spent.saving),
        Part("rest", rest, spent.rest),
    ]
    return [one for one in found if one.seconds > 0 or spent.measured]


@frozen
class Cell:
    """A value in a table.

    Args:
        text: As it is shown.
        is_best: Whether it is the best of its kind.
        title: More digits.
        is_bad: Whether something is wrong with it.
    """

    text: str
    is_best: bool = False
    title: str = ""
    is_bad: bool = False


@frozen
class Table:
    """A table with a row for each validation, or for each run."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def validation_table(run: Run) -> Table:
    """A run's validations, the best value of each metric marked."""
    rules = {one.name: one.rule for one in scores(run)}
    unit = step_unit(run)
    columns = [unit, *(["iteration"] if unit == "epoch" else []), *rules]
    best = {}
    for name, rule in rules.items():
        told = [one.metrics.get(name, float("nan")) for one in run.validations]
        best[name] = best_index(told, rule)
    rows = []
    for index, one in enumerate(run.validations):
        places = [Cell(f"{one.step:,}")]
        if unit == "epoch":
            places.append(Cell("" if one.iteration is None else f"{one.iteration:,}"))
        values = [
            Cell(
                numbers.number(one.metrics.get(name), name),
                index == best[name],
                repr(one.metrics.get(name, "")),
            )
            for name in rules
        ]
        rows.append([*places, *values])
    return Table(columns, rows)


Column = tuple[str, Sequence[Cell]]


def compare(runs: Sequence[Run]) -> Table:
    """The best score of each run in each metric, the best of all marked; the last loss.

    Metrics of which nobody can tell the best come last.
    """
    told = [{one.name: one for one in scores(run)} for run in runs]
    names = list(dict.fromkeys(name for one in told for name in one))
    best, others = list[Column](), list[Column]()
    for name in names:
        is_known = any(name in one and one[name].best is not None for one in told)
        column = _scores_column(runs, [one.get(name) for one in told])
        if is_known:
            best.append((f"best {name}", column))
        else:
            others.append((f"last {name}", column))
    columns = [*best, *_loss_column(runs), *others]
    rows = [[cells[index] for _, cells in columns] for index in range(len(runs))]
    return Table([name for name, _ in columns], rows)


def _scores_column(runs: Sequence[Run], told: Sequence[Score | None]) -> Sequence[Cell]:
    """A metric of each run."""
    known = [one for one in told if one is not None]
    rules = {one.rule for one in known}
    values = [math.nan if one is None else _value(one) for one in told]
    index = best_index(values, rules.pop() if len(rules) == 1 else None)
    cells = []
    for place, (run, score) in enumerate(zip(runs, told, strict=True)):
        value = None if score is None else _value(score)
        text = numbers.number(value, "" if score is None else score.name)
        if score is not None and score.step is not None:
            text += f" ({step_unit(run)} {score.step})"
        cells.append(Cell(text, place == index, repr(value)))
    return cells


def _value(score: Score) -> float:
    return score.last if score.best is None else score.best


def _loss_column(runs: Sequence[Run]) -> Sequence[Column]:
    """The last loss of each run, if it is the same loss."""
    losses = [main_loss(run) for run in runs]
    shared = {one.name for one in losses if one is not None}
    if len(shared) != 1:
        return []
    values = [None if one is None else one.values[-1] for one in losses]
    cells = [
        Cell(
            numbers.number(value),
            title=repr(value),
            is_bad=value is not None and not math.isfinite(value),
        )
        for value in values
    ]
    return [(f"last {shared.pop()}", cells)]
