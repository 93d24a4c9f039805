"""The report as Chromium shows it."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.text import Text

from engine.report import read_runs, write_page
from tests import forked
from tests.browser import Browser, find_chromium
from tests.unit.report.records import begin, iterations, line, validate, write

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "docs" / "examples" / "digits.py"

pytestmark = pytest.mark.skipif(
    find_chromium() is None,
    reason="there is no Chromium (Debian: apt-get install chromium)",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    with Browser() as one:
        yield one


def command(*arguments: str | Path) -> str:
    """What ``engine`` prints; it must succeed."""
    done = forked.run("-m", "engine", *arguments, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def toy(folder: Path, scale: float = 1.0, text: str = "lr = 0.1") -> Path:
    """A work dir of a run with 90 lines, and a loss that breaks once."""
    log = [*begin(), line("config", text=text)]
    log += iterations(range(1, 91), 45, scale=scale)
    log += [validate(1, 0.5 * scale, 45), validate(2, 0.6 * scale, 45)]
    log[12]["loss"] = "nan"
    log += [
        line("backend_failed", 95, level="warning", backend="WandbVisBackend"),
        line(
            "run_failed", 99, level="error", error="ValueError: bad", epoch=1, iter=90
        ),
    ]
    return write(folder, log)


def table(browser: Browser, selector: str) -> list[list[str]]:
    """The cells of a table's body."""
    found: list[list[str]] = browser.run(
        f"[...document.querySelectorAll({selector!r} + ' tbody tr')].map("
        "(row) => [...row.cells].map((cell) => cell.innerText.trim()))"
    )
    return found


def values(browser: Browser, name: str) -> list[list[str]]:
    """What a panel's table shows, after its button is pressed."""
    figure = f'figure[data-name="{name}"]'
    browser.run(f"document.querySelector('{figure} summary').click()")
    browser.settle()
    return table(browser, figure)


def drawn(browser: Browser, name: str) -> list[float]:
    """How high the points of a panel's curve stand, in pixels from above."""
    found: list[float] = browser.run(
        f'[...document.querySelectorAll(\'figure[data-name="{name}"] '
        "circle:not(.bestmark)')].map((one) => Number(one.getAttribute('cy')))"
    )
    return found


def grid(browser: Browser, name: str) -> list[tuple[float, float]]:
    """The lines of a panel's grid: value, and pixels from above."""
    found: list[tuple[float, float]] = browser.run(
        f"[...document.querySelectorAll('figure[data-name=\"{name}\"] .grid')].map("
        "(e) => [Number(e.nextSibling.textContent), Number(e.getAttribute('y1'))])"
    )
    return found


@pytest.mark.slow
def test_the_digits_report_shows_the_figures_that_the_log_shows(
    browser: Browser, tmp_path: Path
) -> None:
    """Each loss, rate and accuracy, the best, the files; nothing is asked for."""
    work_dir = tmp_path / "digits run"
    command(
        *("train", DIGITS, "--work-dir", work_dir),
        *("--set", "train_cfg.max_epochs=3", "--set", "param_scheduler.1.end=3"),
    )
    told = command("report", work_dir)
    assert "Finished: 3 epochs, 57 iterations." in told
    browser.look(1280)
    browser.open(work_dir / "report.html")

    (log,) = work_dir.glob("*/*.log.jsonl")
    records = [json.loads(one) for one in log.read_text().splitlines()]
    trained = [one for one in records if one["event"] == "train"]
    validated = [one for one in records if one["event"] == "val_metrics"]
    losses = [f"{one['loss']:.4f}" for one in trained]
    assert values(browser, "loss") == [
        [str(one["iter"]), loss] for one, loss in zip(trained, losses, strict=True)
    ]
    assert values(browser, "lr") == [
        [str(one["iter"]), f"{one['lr']:.4e}"] for one in trained
    ]
    accuracies = [f"{one['accuracy']:.4f}" for one in validated]
    shown = table(browser, "#validations")
    assert [row[0] for row in shown] == ["1", "2", "3"]
    assert [row[1] for row in shown] == ["19", "38", "57"]
    assert [row[2].removesuffix(" best") for row in shown] == accuracies
    best = max(accuracies)
    (marked,) = [row[2] for row in shown if row[2].endswith("best")]
    assert marked == f"{best} best"

    tiles = browser.run("document.querySelector('.figures').innerText")
    assert re.search(rf"best accuracy\n+{best}", tiles)
    assert re.search(rf"last loss\n+{losses[-1]}", tiles)
    files = {path.name for path in work_dir.glob("*.pth")}
    rows = table(browser, "#checkpoints")
    assert {row[0].split()[0] for row in rows} == files
    assert {row[1] for row in rows} == {"yes"}

    # Each point stands at its value, told by the first and the last line of the grid.
    heights, numbers = drawn(browser, "loss"), [one["loss"] for one in trained]
    (first, at_first), *_, (last, at_last) = grid(browser, "loss")
    for height, number in zip(heights, numbers, strict=True):
        part = (number - first) / (last - first)
        wanted = at_first + part * (at_last - at_first)
        assert height == pytest.approx(wanted, abs=0.2)

    assert browser.errors == []
    assert browser.requests == [(work_dir / "report.html").as_uri()]


@pytest.mark.parametrize("width", [1280, 400, 320])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_and_can_be_read(
    browser: Browser, tmp_path: Path, width: int, scheme: Any
) -> None:
    """Nothing sticks out to the side; text stands out by 4.5 to 1, as WCAG asks."""
    write_page(read_runs([toy(tmp_path / "one")]), tmp_path / "page.html")
    browser.look(width, scheme=scheme)
    browser.open(tmp_path / "page.html")
    assert browser.run("document.documentElement.scrollWidth") == width
    outside = browser.run(
        "[...document.querySelectorAll('body *')].filter((one) => !one.closest("
        "'.scroll') && one.getBoundingClientRect().right > innerWidth + 0.5)"
        ".map((one) => one.outerHTML.slice(0, 80))"
    )
    assert outside == []
    pairs = browser.run(
        """
        ["body", ".muted", ".badge", ".figures dt", ".figures .bad dd", "summary",
         ".events .warning .level", ".events .error .level", "figure .sub", ".mark"]
        .map((selector) => {
          let one = document.querySelector(selector);
          const ink = getComputedStyle(one).color;
          while (one && getComputedStyle(one).backgroundColor === "rgba(0, 0, 0, 0)") {
            one = one.parentElement;
          }
          return [selector, ink, getComputedStyle(one).backgroundColor];
        })
        """
    )
    for selector, ink, paper in pairs:
        assert contrast(ink, paper) >= 4.5, (selector, ink, paper)
    dark = brightness(browser.run("getComputedStyle(document.body).backgroundColor"))
    assert (dark < 0.1) == (scheme == "dark")
    assert browser.errors == []


def brightness(colour: str) -> float:
    """Relative luminance of ``rgb(r, g, b)``, as WCAG 2.1 defines it."""
    parts = [int(one) / 255 for one in re.findall(r"\d+", colour)[:3]]
    red, green, blue = [
        one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4
        for one in parts
    ]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, as WCAG 2.1 defines it.

    >>> round(contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)"))
    21
    """
    dark, light = sorted([brightness(one), brightness(other)])
    return (light + 0.05) / (dark + 0.05)


def test_curves_are_smoothed_scaled_and_asked(browser: Browser, tmp_path: Path) -> None:
    """The slider, the log scale, the pointer's and the arrow keys' values."""
    write_page(read_runs([toy(tmp_path / "one")]), tmp_path / "page.html")
    browser.look(1280)
    browser.open(tmp_path / "page.html")
    loss = 'figure[data-name="loss"]'

    def path(kind: str) -> str:
        found: str = browser.run(
            f"document.querySelector('{loss} path.{kind}')?.getAttribute('d') ?? ''"
        )
        return found

    def set_slider(value: str) -> None:
        browser.run(
            f"(() => {{ const one = document.getElementById('smoothing'); one.value = "
            f"'{value}'; one.dispatchEvent(new Event('input')); }})()"
        )

    # 90 lines are smoothed to begin with, and the raw curve stands behind.
    assert path("raw") not in ("", path("run0:not(.raw)"))
    raw = path("raw")
    assert raw.count("M") == 2  # the gap where it was not finite
    set_slider("0")
    assert path("raw") == ""
    assert path("run0") == raw
    browser.run("document.getElementById('log').click()")
    assert path("run0") != raw
    label = browser.run(
        f"document.querySelector('{loss} svg').getAttribute('aria-label')"
    )
    assert "log scale" in label
    assert "from 1.0000 at iteration 1 to 0.0111 at 90, lowest 0.0111" in label
    browser.run("document.getElementById('log').click()")

    tip = f"document.querySelector('{loss} .tip')"
    assert browser.run(f"{tip}.hidden")
    browser.run(
        f"document.querySelector('{loss} svg').dispatchEvent("
        "new KeyboardEvent('keydown', {key: 'ArrowRight'}))"
    )
    assert browser.run(f"{tip}.innerText").split("\n") == ["iteration 1", "1.0000"]
    box = browser.run(
        f"(({{left, right, top}}) => [left, right, top])"
        f"(document.querySelector('{loss} svg').getBoundingClientRect())"
    )
    place = {"x": box[1] - 13, "y": box[2] + 50}
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", **place)
    browser.settle()
    assert browser.run(f"{tip}.innerText").split("\n") == ["iteration 90", "0.0111"]
    rows = values(browser, "loss")
    assert rows[9] == ["10", "not finite"]
    assert len(rows) == 90
    assert browser.errors == []


def test_runs_are_overlaid_and_can_be_hidden(browser: Browser, tmp_path: Path) -> None:
    """A curve for each run; unticked, one is gone and the axes follow."""
    folders = [toy(tmp_path / "one"), toy(tmp_path / "two", 1.5, "lr = 0.2")]
    write_page(read_runs(folders), tmp_path / "page.html")
    browser.look(400)
    browser.open(tmp_path / "page.html")

    def curves() -> list[str]:
        found: list[str] = browser.run(
            "[...document.querySelectorAll('figure[data-name=accuracy] path')]"
            ".map((one) => one.getAttribute('class'))"
        )
        return found

    assert curves() == ["run0", "run1"]
    assert table(browser, "#differences") == [["lr", "0.1", "0.2"]]
    (first, second) = table(browser, "#runs")
    assert (first[0], first[1], second[0]) == ("one", "failed", "two")
    assert second[2] == "0.9000 (epoch 2) best"
    browser.run("document.querySelector('[data-run=\"1\"]').click()")
    assert curves() == ["run0"]
    assert browser.run("document.documentElement.scrollWidth") == 400
    assert browser.errors == []


@pytest.mark.slow
def test_the_pictures_of_the_docs_can_be_made_anew(tmp_path: Path) -> None:
    """All of them, of a short run, by the script that made them."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "images" / "make_pictures.py", "--quick", "."],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(made) == {one.name for one in (ROOT / "docs/images").glob("*.png")}
    for name, picture in made.items():
        assert picture.startswith(b"\x89PNG"), name
        assert len(picture) > 20_000, f"{name} is empty"


def test_the_picture_of_a_terminal_shows_what_stood_in_it(tmp_path: Path) -> None:
    """The screen with most bars, from the middle, with its colours."""
    script = runpy.run_path(str(ROOT / "docs" / "images" / "progress_picture.py"))
    bars = ["train 1/2 ━━── 1/4 it/s", "train 1/2 ━━━━ 4/4 it/s\r\nval ━── 1/3 it/s"]
    said = [f"\x1b[2J\x1b[H\x1b[1;32mlog\x1b[0m\r\n{one}" for one in (*bars, "end")]
    code = "import sys\nfor one in sys.argv[1:]: print(one, flush=True)"
    screens = script["watch"]([sys.executable, "-c", code, *said])
    assert screens[-1].plain == "log\nend"
    whole = [Text.from_ansi(one.replace("\r", "")[7:]) for one in said]
    chosen = script["choose"](whole)
    assert chosen is whole[1]
    script["photograph"](chosen, tmp_path / "screen.png")
    assert (tmp_path / "screen.png").read_bytes().startswith(b"\x89PNG")
