"""A picture in a window, for those who sit before the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.visualization.package import need

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["show_in_window"]


def show_in_window(
    image: Any,
    title: str,
    seconds: float,
    key: str,
    figure_settings: Mapping[str, Any],
) -> None:
    """Show a picture with matplotlib.

    Args:
        image: Array, shape (height, width, 3), uint8.
        title: The window's.
        seconds: How long it stays; 0: until it is closed.
        key: Closes it when it is pressed.
        figure_settings: For ``pyplot.figure``, such as ``{"frameon": False}``.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    pyplot = need("matplotlib.pyplot", extra="plot", asked_by="a visualizer's window")
    figure = pyplot.figure(title, **figure_settings)
    figure.canvas.mpl_connect(
        "key_press_event",
        lambda event: pyplot.close(figure) if event.key == key else None,
    )
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
