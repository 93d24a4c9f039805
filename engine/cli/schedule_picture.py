"""A picture of curves, drawn with matplotlib (the extra ``plot``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from engine.cli.schedule_curves import Curve, Curves

__all__ = ["draw"]

_COLORS = ("#3465a4", "#ce5c00", "#4e9a06", "#75507b", "#a40000", "#8f5902")


def draw(curves: Curves, picture: Path | str, *, title: str) -> None:
    """Write a PNG with a panel for each curve, one row for each optimizer.

    Args:
        curves: What to draw.
        picture: The file.
        title: Stands above.
    """
    rows: dict[str, list[Curve]] = {}
    for curve in curves.curves:
        rows.setdefault(curve.optimizer, []).append(curve)
    columns = max(len(row) for row in rows.values())
    figure = Figure(
        figsize=(5.0 * columns, 2.6 * len(rows) + 0.4), layout="constrained"
    )
    panels = figure.subplots(len(rows), columns, squeeze=False)
    figure.suptitle(f"{title}: {curves.length}", fontsize=11)
    for row, line in zip(rows.values(), panels, strict=True):
        for axes in line[len(row) :]:
            axes.set_visible(False)
        for curve, axes in zip(row, line, strict=False):
            lines = _distinct(curve)
            for index, (groups, values) in enumerate(lines):
                axes.plot(
                    curves.places,
                    values,
                    color=_COLORS[index % len(_COLORS)],
                    label=groups,
                    # An epoch's value holds until the next one.
                    drawstyle="steps-post" if curves.unit == "epoch" else "default",
                )
            inner = list(curves.marks.items())[1:-1]
            for place in (at for at, words in inner if curve.bends(words)):
                axes.axvline(place, color="0.85", linewidth=0.8, zorder=0)
            axes.set(title=curve.title, xlabel=curves.unit, ylim=(0, None))
            axes.spines[["top", "right"]].set_visible(False)
            if len(lines) > 1:
                axes.legend(fontsize=8, frameon=False)
    figure.savefig(picture, dpi=110, metadata={"Software": None}, format="png")


def _distinct(curve: Curve) -> list[tuple[str, list[float]]]:
    """Curves that differ, and which parameter groups have each."""
    groups: dict[tuple[float, ...], list[int]] = {}
    for index, values in enumerate(zip(*curve.values, strict=True)):
        groups.setdefault(values, []).append(index)
    return [
        (f"group{'s' if len(some) > 1 else ''} {_ranges(some)}", list(values))
        for values, some in groups.items()
    ]


def _ranges(numbers: list[int]) -> str:
    """Numbers in order, runs of them as ``first-last``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(
        str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts
    )
