"""The page as text: what it holds, and that no text of a run can break it."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import ReportError
from engine.report import read_run, read_runs, render, write_page
from tests.unit.report.records import (
    begin,
    iterations,
    line,
    train_lines,
    validate,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

VOID = {"meta", "link", "input", "br"}


class Balance(HTMLParser):
    """Which elements a page has, and whether each is closed by its own end."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def parse(page: str) -> Balance:
    """A page's elements."""
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    return parser


def embedded(page: str) -> Any:
    """What the page's script draws."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert found is not None
    return json.loads(found[1])


def toy(folder: Path, text: str = "lr = 0.1", scale: float = 1.0) -> Path:
    """A work dir."""
    log = [
        *begin(),
        line("config", text=text),
        *iterations([2, 4], scale=scale),
        validate(1, 0.5 * scale),
        line("training_ends", 9, outcome="finished", epoch=2, iter=8),
    ]
    return write(folder, log, metrics=train_lines(log))


@pytest.mark.parametrize("several", [False, True])
def test_the_page_is_whole_and_asks_for_nothing(tmp_path: Path, several: bool) -> None:
    """Each element is closed; no address stands in it but the one of an SVG name."""
    folders = [toy(tmp_path / "one")]
    if several:
        folders.append(toy(tmp_path / "two", "lr = 0.2", 2))
    page = render(read_runs(folders))
    parser = parse(page)
    asking = [
        value
        for _, attributes in parser.seen
        for name, value in attributes.items()
        if name in ("src", "href", "action", "data", "srcset")
    ]
    assert asking == ["data:,"]
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) == {
        "http://www.w3.org/2000/svg"
    }
    assert "@import" not in page
    assert "url(" not in page


def test_text_of_a_run_stays_text(tmp_path: Path) -> None:
    """Names, events and configs with markup in them are shown, not followed."""
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    log = [
        *begin(),
        line("config", text=f"a = {evil!r}"),
        *iterations([2]),
        line("odd", note=evil, level="warning"),
        line("run_failed", error=evil, epoch=0, iter=2),
    ]
    log[3][evil] = 0.5
    page = render([read_run(write(tmp_path / "<b>run", log))])
    parser = parse(page)
    assert [tag for tag, _ in parser.seen if tag in ("img", "b")] == []
    assert len([tag for tag, _ in parser.seen if tag == "script"]) == 2
    assert evil in "".join(parser.texts)
    assert evil in [one["name"] for one in embedded(page)["panels"]]


def test_what_is_drawn_is_what_was_logged(tmp_path: Path) -> None:
    """To the last digit; numbers that are not finite are gaps."""
    folder = toy(tmp_path)
    path = next(folder.glob("*/*.log.jsonl"))
    metrics = next(folder.glob("*/vis_data/scalars.json"))
    for file, word in ((path, '"nan"'), (metrics, "NaN")):
        file.write_text(file.read_text().replace('"loss": 0.25', f'"loss": {word}'))
    found = {one["name"]: one for one in embedded(render([read_run(folder)]))["panels"]}
    (loss,) = found["loss"]["lines"]
    assert (loss["x"], loss["y"]) == ([2, 4], [0.5, None])
    (accuracy,) = found["accuracy"]["lines"]
    assert (accuracy["y"], accuracy["best"]) == ([0.5], 0)
    assert found["accuracy"]["kind"] == "metric"


def test_several_runs_show_only_what_differs(tmp_path: Path) -> None:
    """One entry of two; the best of all is marked."""
    one = toy(tmp_path / "one", "lr = 0.1\nseed = 1")
    two = toy(tmp_path / "two", "lr = 0.2\nseed = 1", 1.5)
    page = render(read_runs([one, two]))
    section = page[page.index('id="differences"') : page.index('id="curves"')]
    assert re.findall(r'<th scope="row"><code>(.*?)</code>', section) == ["lr"]
    table = page[page.index('id="runs"') : page.index('id="differences"')]
    assert re.findall(r'best" title="(.*?)"', table) == ["0.75"]
    (loss,) = [one for one in embedded(page)["panels"] if one["name"] == "loss"]
    assert [one["run"] for one in loss["lines"]] == [0, 1]


def test_a_run_whose_loss_broke_is_marked_among_others(tmp_path: Path) -> None:
    """By its last loss, which stands behind the best of each metric."""
    one, two = toy(tmp_path / "one"), toy(tmp_path / "two", scale=math.nan)
    page = render(read_runs([one, two]))
    table = page[page.index('id="runs"') : page.index('id="differences"')]
    assert re.findall(r'bad-text" title="(.*?)"', table) == ["nan"]
    assert table.index("best accuracy") < table.index("last loss")


def test_a_page_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    """A folder stands where the file should."""
    with pytest.raises(ReportError, match="cannot be written"):
        write_page([read_run(toy(tmp_path / "toy"))], tmp_path)
