"""A picture in a window, for those who sit before the machine."""

from __future__ import annotations

from typing import Any

from engine.visualization.package import need

__all__ = ["show_in_window"]


def show_in_window(image: Any, title: str, seconds: float) -> None:
    """Show a picture with matplotlib.

    Args:
        image: Array, shape (height, width, 3), uint8.
        title: The window's.
        seconds: How long it stays; 0: until it is closed.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    pyplot = need("matplotlib.pyplot", extra="plot", asked_by="add_datasample(show)")
    figure = pyplot.figure(title, frameon=False)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(image)
    try:
        if seconds > 0:
            pyplot.pause(seconds)
        else:
            pyplot.show(block=True)
    finally:
        pyplot.close(figure)
