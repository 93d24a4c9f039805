"""The report as one PNG, drawn with matplotlib (the extra ``plot``)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from engine.errors import ReportError
from engine.report.numbers import number, plural, span
from engine.report.page import spent_parts
from engine.report.panels import Line, Panel, panels
from engine.report.summary import figures, status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.report.run import Run

__all__ = ["draw", "draw_panel"]

# As in page.css.
_COLOURS = (
    *("#22589c", "#c2570c", "#2b7d46", "#7b4aa6"),
    *("#b3261e", "#0b7d8c", "#8a6a00", "#ad3a77"),
)
_GONE = "#b3261e"
_PARTS = {
    "step": "#22589c",
    "data": "#c2570c",
    "validation": "#2b7d46",
    "saving": "#7b4aa6",
    "rest": "#8d959e",
}
_COLUMNS = 3
_MOST_PANELS = 12


def draw(runs: Sequence[Run], path: Path) -> None:
    """Write a picture: how it went, the curves, where the time went.

    Args:
        runs: At least one; several are overlaid.
        path: The file.

    Raises:
        ReportError: It cannot be written.
    """
    shown = panels(runs)[:_MOST_PANELS]
    timed = [run for run in runs if run.spent is not None]
    rows = math.ceil(len(shown) / _COLUMNS)
    bars = 0.45 * len(timed) + 0.55 if timed else 0.0
    figure = Figure(figsize=(11, 0.9 + 2.5 * rows + bars), layout="constrained")
    heights = [2.5] * rows + ([bars] if timed else [])
    grid = figure.add_gridspec(
        max(len(heights), 1), _COLUMNS, height_ratios=heights or [1]
    )
    figure.suptitle(_title(runs), fontsize=11, x=0.01, ha="left", linespacing=1.6)
    for index, panel in enumerate(shown):
        axes = figure.add_subplot(grid[index // _COLUMNS, index % _COLUMNS])
        draw_panel(axes, panel, runs)
    if timed:
        _draw_times(figure.add_subplot(grid[rows, :]), timed)
    if len(runs) > 1:
        handles = [
            figure.axes[0].plot([], [], color=_colour(index), label=run.name)[0]
            for index, run in enumerate(runs)
        ]
        figure.legend(handles=handles, loc="upper right", ncols=4, frameon=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, metadata={"Software": None}, format="png")
    except OSError as error:
        message = f"{path}: the picture cannot be written: {error.strerror or error}"
        raise ReportError(message) from error


def _title(runs: Sequence[Run]) -> str:
    if len(runs) > 1:
        return f"{len(runs)} runs"
    told = [f"{one.label} {one.value}" for one in figures(runs[0])]
    return f"{runs[0].name}. {status(runs[0]).text}\n{'  ·  '.join(told)}"


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def draw_panel(axes: Any, panel: Panel, runs: Sequence[Run]) -> None:
    """Draw a panel's curves.

    Args:
        axes: Matplotlib's.
        panel: It.
        runs: Those whose curves are in it.
    """
    modes = {line.mode for line in panel.lines}
    for line in panel.lines:
        of_run = len(runs) > 1
        colour = _colour(line.run if of_run else int(line.mode == "val"))
        dotted = of_run and line.mode == "val" and len(modes) > 1
        axes.plot(
            line.places,
            line.values,
            color=colour,
            linewidth=1.4,
            linestyle=":" if dotted else "-",
            marker="." if len(line.places) <= 30 else None,  # noqa: PLR2004  # legible
            label={"train": "training", "val": "validation"}.get(line.mode),
        )
        if line.best is not None:
            _mark_best(axes, line, colour)
        _mark_gone(axes, line, colour if of_run else _GONE)
    axes.set_title(_heading(panel, runs), fontsize=10, loc="left")
    if panel.kind == "loss" and panel.suits_log:
        axes.set_yscale("log")
    if len(modes) > 1 and len(runs) == 1:
        axes.legend(frameon=False, fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.set_xlabel("iteration", fontsize=8, labelpad=1)
    axes.tick_params(labelsize=8, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def _heading(panel: Panel, runs: Sequence[Run]) -> str:
    best = [one for one in panel.lines if one.best is not None]
    if len(runs) > 1 or not best:
        return panel.title
    line = best[0]
    value = number(line.values[line.best or 0], panel.name)
    return f"{panel.name}: best {value} at {line.places[line.best or 0]:,}"


def _mark_best(axes: Any, line: Line, colour: str) -> None:
    place, value = line.places[line.best or 0], line.values[line.best or 0]
    axes.plot([place], [value], "o", mfc="none", mec=colour, ms=8)


def _mark_gone(axes: Any, line: Line, colour: str) -> None:
    """A triangle on the axis where a value was not finite."""
    gone = [
        place
        for place, value in zip(line.places, line.values, strict=True)
        if not math.isfinite(value)
    ]
    if gone:
        where = axes.get_xaxis_transform()  # iterations, and parts of the axes' height
        axes.plot(gone, [0.03] * len(gone), "^", color=colour, ms=4, transform=where)


def _draw_times(axes: Any, runs: Sequence[Run]) -> None:
    seen: set[str] = set()
    for row, run in enumerate(runs):
        assert run.spent is not None
        left = 0.0
        whole = run.spent.training or 1.0
        for part in spent_parts(run.spent):
            width = part.seconds / whole
            label = None if part.label in seen else part.label
            seen.add(part.label)
            colour = _PARTS[part.key]
            axes.barh(row, width, 0.5, left=left, color=colour, label=label)
            left += width
        text = f"{run.name}: {span(whole)}, {plural(run.iterations, 'iteration')}"
        axes.text(0, row - 0.3, text, fontsize=8, va="bottom")
    axes.set_ylim(len(runs) - 0.7, -0.75)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_title("where the time went", fontsize=10, loc="left")
    axes.legend(
        frameon=False, fontsize=8, ncols=5, loc="upper center", bbox_to_anchor=(0.5, 0)
    )
