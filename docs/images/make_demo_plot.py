"""Draw docs/images/demo.png from the scalars that ``make demo`` wrote.

python docs/images/make_demo_plot.py work_dirs/digits/TIME/vis_data/scalars.json

It needs matplotlib, which the engine itself does not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
BLUE, ORANGE, GREEN = "#3465a4", "#ce5c00", "#4e9a06"


def main(scalars: Path, picture: Path) -> None:
    """Draw loss, learning rate and validation accuracy over the iterations.

    Args:
        scalars: One JSON object a line, as the Local backend writes them.
        picture: The PNG file to write.
    """
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    training = [row for row in rows if "loss" in row]
    validations = [row for row in rows if "accuracy" in row]
    iterations = [row["iter"] for row in training]
    # A validation's step is its epoch; the demo logs once in each epoch.
    length = iterations[1] - iterations[0]

    figure = Figure(figsize=(9.0, 2.7), layout="constrained")
    loss, rate, accuracy = figure.subplots(1, 3)
    loss.plot(iterations, [row["loss"] for row in training], ".-", color=BLUE)
    loss.set(title="training loss", yscale="log")
    rate.plot(iterations, [row["lr"] for row in training], ".-", color=ORANGE)
    rate.set(title="learning rate")
    accuracy.plot(
        [row["step"] * length for row in validations],
        [row["accuracy"] for row in validations],
        ".-",
        color=GREEN,
    )
    accuracy.set(title="validation accuracy", ylim=(None, 1.0))
    for axes in (loss, rate, accuracy):
        axes.set_xlabel("iteration")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004  # the script and the file
        sys.exit(__doc__)
    main(Path(sys.argv[1]), HERE / "demo.png")
